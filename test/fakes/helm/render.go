// Renders a chart with the two libraries that Helm itself renders with: Go's text/template, and sprig.
// On stdin: {chart, values, release, templates: {path: text}, files: {path: text}}, as JSON. On stdout: {path: text}.
// What Helm adds to them is here as far as our templates use it; charts within charts are not.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"github.com/ghodss/yaml"
)

type files map[string]string

func (f files) Get(name string) string { return f[name] }

type input struct {
	Chart, Release   map[string]interface{}
	Values           map[string]interface{}
	Templates, Files map[string]string
}

func main() {
	var given input
	fail(json.NewDecoder(os.Stdin).Decode(&given))

	root := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	functions["required"] = func(complaint string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", complaint)
		}
		return value, nil
	}
	functions["include"] = func(name string, data interface{}) (string, error) {
		var text strings.Builder
		err := root.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	root.Funcs(functions)
	for path, text := range given.Templates {
		_, err := root.New(path).Parse(text)
		fail(err)
	}

	rendered := map[string]string{}
	for path := range given.Templates {
		if strings.HasPrefix(path[strings.LastIndex(path, "/")+1:], "_") {
			continue
		}
		var text strings.Builder
		fail(root.ExecuteTemplate(&text, path, map[string]interface{}{
			"Chart": given.Chart, "Release": given.Release, "Values": given.Values, "Files": files(given.Files),
			"Template": map[string]interface{}{"Name": path, "BasePath": path[:strings.LastIndex(path, "/")]},
		}))
		// Helm does the same to what is missing: "missingkey=zero" alone would write it out.
		rendered[path] = strings.ReplaceAll(text.String(), "<no value>", "")
	}
	fail(json.NewEncoder(os.Stdout).Encode(rendered))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
