/** The modulus of the key pair that OpenMetadata ships (conf/public_key.der): everyone has its private half. */
export const DEMO_MODULUS = [
  '2XTHbrS8uYv-THweGDgqRciCTZJIU0NuaPUQT43V7oQgj3EFptWyRd0Q6xZjsf6O8z2zWZd0qNQbMm7qIcnSkBetkJKsoqg1qjT-',
  'GEKP09GoRQLDpkl7ACgMr6Mxge7uGmE15TFTOBUGJboI3byx-LSzg6rZXr5jdq_8IqP7_OaiRAsLDjefC85Db-N7IE-FsxeDWX8j',
  'lyh1bfP-cIOrh9rNZxsXJuc6lloZE0z9CIB0knh1mLsFxQfU_KBgDdL_pLBwq9Kl5nS6veTiF7gplLsr61KOVRzyoyUbV7-TPb-l',
  'X4cGEjxaMb0MuCqioZwB_qxZU6c2ZisBgMu2pazPZQ'
].join('')
