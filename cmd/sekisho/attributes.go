package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sekisho/internal/conf"
	"sekisho/radius"
	"sekisho/radius/dictionary"
)

// attributeView is one line of `attributes`.
type attributeView struct {
	Name      string   `json:"name"`
	Vendor    string   `json:"vendor,omitempty"`
	VendorID  uint32   `json:"vendor_id,omitempty"`
	Number    uint8    `json:"number"`
	Type      string   `json:"type"`
	MaxLength int      `json:"max_length,omitempty"` // octets of a value; 0: it has one form
	Tagged    bool     `json:"tagged,omitempty"`
	Values    []string `json:"values,omitempty"`
}

func (a *app) attributesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "attributes [PATTERN]", Short: "List the reply attributes that policies and reply rules can set",
		Long: "The names are those of FreeRADIUS's dictionaries. PATTERN is a part of a name, in any case of letters. The configuration's\n" +
			"own dictionaries are listed too where it can be read. Tagged attributes take a tag behind the name, as in Tunnel-Type:1.",
		Example: "  sekisho attributes split\n  sekisho attributes fortinet --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%q is one argument too many", args[1])}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := a.dictionary()
			if err != nil {
				return err
			}
			return a.listAttributes(d, strings.Join(args, ""))
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
	a.configFlag(cmd)
	return cmd
}

// dictionary gives the attributes of the configuration, or the built-in ones where there is no configuration and none was
// asked for.
func (a *app) dictionary() (*dictionary.Dictionary, error) {
	if _, err := os.Stat(a.configFile()); err != nil && a.config == "" {
		return dictionary.New(), nil
	}
	c := &Config{}
	doc := conf.Load(c, a.configFile(), a.environ)
	if !doc.Complete() {
		return nil, doc.Err()
	}
	return c.Radius.Dictionary() // other faults of the configuration are check-config's
}

func (a *app) listAttributes(d *dictionary.Dictionary, pattern string) error {
	all := []attributeView{}
	for _, attr := range d.All() {
		v := attributeView{Name: attr.Name, Vendor: d.Vendor(attr.Vendor), VendorID: attr.Vendor, Number: attr.Number,
			Type: attr.Type.String(), Tagged: attr.Tagged}
		if attr.Type == dictionary.Text || attr.Type == dictionary.Octets {
			v.MaxLength = attr.MaxLength()
		}
		for _, value := range attr.Values {
			v.Values = append(v.Values, fmt.Sprintf("%s=%d", value.Name, value.Number))
		}
		if v.Name == radius.Banner+"1" {
			// What it goes out as first.
			all = append(all, attributeView{Name: radius.Banner, Vendor: v.Vendor, VendorID: v.VendorID, Number: v.Number, Type: v.Type, MaxLength: radius.MaxBanner})
		}
		all = append(all, v)
	}
	shown := all[:0]
	for _, v := range all {
		if strings.Contains(strings.ToLower(v.Name), strings.ToLower(pattern)) {
			shown = append(shown, v)
		}
	}
	if a.json {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"attributes": shown})
	}
	if len(shown) == 0 {
		return fmt.Errorf("no dictionary has an attribute whose name contains %q", pattern)
	}
	return a.table("NAME\tVENDOR\tNUMBER\tTYPE\tOCTETS\tVALUES", func(w io.Writer) {
		for _, v := range shown {
			number := fmt.Sprint(v.Number)
			if v.VendorID != 0 {
				number = fmt.Sprintf("%d/%d", v.VendorID, v.Number)
			}
			name := v.Name
			if v.Tagged {
				name += "[:TAG]"
			}
			most := ""
			if v.MaxLength > 0 {
				most = fmt.Sprint(v.MaxLength)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", name, dash(v.Vendor), number, v.Type, dash(most), strings.Join(v.Values, " "))
		}
	})
}
