// Gen writes generated.go from the *.dict files of the folder in which it runs.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
	"path/filepath"

	"sekisho/radius/dictionary"
)

const output = "generated.go"

func main() {
	text, err := generate(".")
	if err == nil {
		err = os.WriteFile(output, text, 0o644) //nolint:gosec // source code
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

var typeConstants = map[dictionary.Type]string{
	dictionary.Text: "Text", dictionary.Octets: "Octets", dictionary.Integer: "Integer", dictionary.IPv4: "IPv4",
	dictionary.IPv6: "IPv6", dictionary.IPv6Prefix: "IPv6Prefix", dictionary.Interface: "Interface",
}

// generate gives the table of everything in a folder's *.dict files.
func generate(folder string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.dict"))
	if err != nil {
		return nil, err
	}
	d := &dictionary.Dictionary{}
	for _, f := range files {
		if err := d.LoadBuiltIn(f); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated from the *.dict files by go generate; DO NOT EDIT.\n\npackage dictionary\n\nvar builtInVendors = []Vendor{\n")
	for _, v := range d.Vendors() {
		fmt.Fprintf(&b, "{%q, %d},\n", v.Name, v.ID)
	}
	fmt.Fprintf(&b, "}\n\nvar builtIn = []Attribute{\n")
	for _, a := range d.All() {
		fmt.Fprintf(&b, "{Name: %q, Vendor: %d, Number: %d, Type: %s", a.Name, a.Vendor, a.Number, typeConstants[a.Type])
		if a.Tagged {
			fmt.Fprint(&b, ", Tagged: true")
		}
		if len(a.Values) > 0 {
			fmt.Fprint(&b, ", Values: []Value{\n")
			for _, v := range a.Values {
				fmt.Fprintf(&b, "{%q, %d},\n", v.Name, v.Number)
			}
			fmt.Fprint(&b, "}")
		}
		fmt.Fprint(&b, "},\n")
	}
	b.WriteString("}\n")
	return format.Source(b.Bytes())
}
