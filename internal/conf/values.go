package conf

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Value is one key of a configuration with the value that holds.
type Value struct {
	Key    string // dotted, such as radius.clients[2].secret
	Text   string // as it would be written; Hidden for a secret
	Secret bool
	Given  bool   // some source set it; else the value is the default
	Place  Place  // where, if Given
	File   string // the file that a secret was read from; empty: it stands at Place itself

	label string // the key with names of list entries in place of their numbers, which move when entries come and go
	sum   [32]byte
	names bool // stands for the order of a list of sections
}

// Hidden stands for the value of a secret.
const Hidden = "[hidden]"

// sumKey makes sums of secrets useless outside this process.
var sumKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}()

func sum(b []byte) (s [32]byte) {
	h := hmac.New(sha256.New, sumKey)
	h.Write(b)
	return [32]byte(h.Sum(s[:0]))
}

// Values lists every key of config, a struct or a pointer to one with the keys that the Doc was read into, in the order of
// the struct. Keys that nobody set and whose value is empty are left out. Each file that a key names is looked at, so that
// [Diff] finds a change of its content.
func (d *Doc) Values(config any) []Value {
	v := reflect.ValueOf(config)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	var all []Value
	d.walk(v, "", "", &all)
	return all
}

func (d *Doc) walk(v reflect.Value, key, label string, all *[]Value) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	t := v.Type()
	switch {
	case isSecret(t) || isPlain(t) || t.Kind() == reflect.Slice && isPlain(t.Elem()):
		d.leaf(v, key, label, all)
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			sf := t.Field(i)
			name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
			switch {
			case options == "inline":
				d.walk(v.Field(i), key, label, all)
			case name != "" && name != "-" && sf.IsExported():
				d.walk(v.Field(i), join(key, name), join(label, name), all)
			}
		}
	case t.Kind() == reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			d.walk(v.MapIndex(k), join(key, k.String()), join(label, k.String()), all)
		}
	case t.Kind() == reflect.Slice:
		labels := labelsOf(v)
		if len(labels) > 0 {
			*all = append(*all, Value{Key: key, label: label, Text: "[" + strings.Join(labels, ", ") + "]", Given: true, Place: d.Place(key), names: true})
		}
		for i := range v.Len() {
			d.walk(v.Index(i), fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%s[%s]", label, labels[i]), all)
		}
	}
}

// labelsOf names the entries of a list of sections: by their key `name`, else by their number.
func labelsOf(v reflect.Value) []string {
	labels := make([]string, v.Len())
	seen := map[string]bool{}
	for i := range labels {
		labels[i] = fmt.Sprint(i)
		entry := v.Index(i)
		if entry.Kind() == reflect.Pointer {
			entry = entry.Elem()
		}
		if entry.Kind() != reflect.Struct {
			continue
		}
		if f, ok := fields(entry)["name"]; ok && f.value.Kind() == reflect.String && f.value.String() != "" && !seen[f.value.String()] {
			labels[i] = f.value.String()
			seen[labels[i]] = true
		}
	}
	return labels
}

func (d *Doc) leaf(v reflect.Value, key, label string, all *[]Value) {
	out := Value{Key: key, label: label, Given: d.Given(key), File: d.held[key]}
	if out.Given {
		out.Place = d.places[key]
	}
	t := v.Type()
	out.Secret = isSecret(t) || t.Kind() == reflect.Slice && isSecret(t.Elem())
	if out.Secret {
		b := revealed(v)
		if len(b) == 0 {
			return
		}
		out.Text, out.sum = Hidden, sum(b)
		*all = append(*all, out)
		return
	}
	if !out.Given && v.IsZero() && t.Kind() != reflect.Bool {
		return
	}
	out.Text = textOf(v)
	if isFileKey(key) && out.Text != "" {
		if b, _, err := readFile(out.Text); err == nil {
			out.sum = sum(b)
		}
	}
	*all = append(*all, out)
}

// revealed gives a secret, or a list of them, each with its length before it.
func revealed(v reflect.Value) (b []byte) {
	if r, ok := v.Interface().(interface{ Reveal() []byte }); ok {
		return r.Reveal()
	}
	for i := range v.Len() {
		one := revealed(v.Index(i))
		b = fmt.Appendf(b, "%d:%s", len(one), one)
	}
	return b
}

func textOf(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		if _, ok := v.Interface().(encoding.TextMarshaler); !ok {
			parts := make([]string, v.Len())
			for i := range parts {
				parts[i] = textOf(v.Index(i))
			}
			return "[" + strings.Join(parts, ", ") + "]"
		}
	}
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return shortDuration(x)
	case encoding.TextMarshaler:
		if b, err := x.MarshalText(); err == nil {
			return string(b)
		}
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration writes 5m and not 5m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Change is one difference between two configurations. Entries of lists go by their names, as in
// radius.clients[vpn].reject_delay.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old,omitempty"` // empty: it was not set
	New string `json:"new,omitempty"` // empty: it is not set any more
}

// String gives "key: old -> new".
func (c Change) String() string {
	shown := func(s string) string {
		if s == "" {
			return "(none)"
		}
		return s
	}
	return c.Key + ": " + shown(c.Old) + " -> " + shown(c.New)
}

// Words of Change for what is not shown as it is.
const (
	changed = "[changed]" // a secret
	content = " [its content has changed]"
	entry   = "[an entry]"
)

// Diff compares two lists of Values. Secrets are compared and not shown; an entry of a list that came or went is one Change.
func Diff(before, after []Value) []Change {
	was, is := byLabel(before), byLabel(after)
	var all []Change
	done := map[string]bool{}
	look := func(values []Value, other map[string]Value, added bool) {
		for _, v := range values {
			if done[v.label] {
				continue
			}
			done[v.label] = true
			o, both := other[v.label]
			if whole, ok := lonely(v.label, other); !both && ok {
				if !done[whole] {
					done[whole] = true
					all = append(all, change(whole, entry, added))
				}
				continue
			}
			switch {
			case !both && v.Text == "":
			case !both:
				all = append(all, change(v.label, v.Text, added))
			case v.Text == o.Text && v.sum == o.sum:
			case v.Secret:
				all = append(all, Change{v.label, Hidden, changed})
			case v.Text == o.Text:
				all = append(all, Change{v.label, v.Text, v.Text + content})
			case added:
				all = append(all, Change{v.label, o.Text, v.Text})
			}
		}
	}
	look(after, was, true)
	look(before, is, false)
	return all
}

func change(key, text string, added bool) Change {
	if added {
		return Change{Key: key, New: text}
	}
	return Change{Key: key, Old: text}
}

func byLabel(values []Value) map[string]Value {
	m := make(map[string]Value, len(values))
	for _, v := range values {
		m[v.label] = v
	}
	return m
}

// lonely gives the entry of a list that a label belongs to, when the other configuration has nothing of it.
func lonely(label string, other map[string]Value) (string, bool) {
	end := strings.IndexByte(label, ']')
	if end < 0 {
		return "", false
	}
	whole := label[:end+1]
	for l := range other {
		if strings.HasPrefix(l, whole) {
			return "", false
		}
	}
	return whole, true
}

// Shown leaves out what stands for the order of a list: the list of values as people read it.
func Shown(values []Value) []Value {
	return slices.DeleteFunc(slices.Clone(values), func(v Value) bool { return v.names })
}
