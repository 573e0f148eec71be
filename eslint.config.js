import neostandard from 'neostandard'
import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['node_modules/', 'dist/', '.tap/', 'test/types/'] },
  ...neostandard({ ts: true }),
  ...tseslint.configs.strictTypeChecked.map(config => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // Fastify hooks and handlers are async by convention, whether or not they await.
      '@typescript-eslint/require-await': 'off',
      // `void promise` says that nobody waits for it; no-floating-promises asks for exactly that.
      'no-void': ['error', { allowAsStatement: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }]
    }
  }
)
