package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sekisho/authn"
	"sekisho/directory"
	"sekisho/internal/freeradius"
	"sekisho/radius"
	"sekisho/radius/dictionary"
)

func (a *app) importCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "freeradius FILE...", Short: "Turn FreeRADIUS's clients.conf and users into configuration for Sekisho",
		Long: "Files whose names end in .conf are read as clients, others as users. What cannot be taken is listed with its line; nothing\n" +
			"of it is guessed. Without --out nothing is written: the configuration goes to standard output, without secrets.\n" +
			"With --out DIR a new folder gets freeradius.yaml for conf.d, users.yaml for a directory of type file, and one file\n" +
			"for each shared secret.",
		Example: "  sekisho import freeradius /etc/freeradius/3.0/clients.conf\n" +
			"  sekisho import freeradius --out /etc/sekisho/freeradius /etc/freeradius/3.0/clients.conf /etc/freeradius/3.0/users",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("FILE is missing")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.importFreeRADIUS(args, out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "write to this `folder`, which must not exist yet")
	return group("import", "Move from another server", cmd)
}

// moved is what came out of FreeRADIUS's files.
type moved struct {
	clients []freeradius.Client
	users   []freeradius.User
	left    []freeradius.Left
}

func (a *app) importFreeRADIUS(files []string, out string) error {
	var m moved
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading FreeRADIUS's configuration: %w", err)
		}
		var left []freeradius.Left
		if strings.HasSuffix(file, ".conf") {
			var clients []freeradius.Client
			clients, left = freeradius.ReadClients(file, string(text))
			m.clients = append(m.clients, clients...)
		} else {
			var users []freeradius.User
			users, left = freeradius.ReadUsers(file, string(text))
			for i := range users {
				left = append(left, dropUnknown(file, &users[i])...)
			}
			m.users = append(m.users, users...)
		}
		m.left = append(m.left, left...)
	}
	for _, l := range m.left {
		fmt.Fprintln(a.err, l)
	}
	if len(m.clients)+len(m.users) == 0 {
		return errors.New("nothing in these files can be taken")
	}
	secrets := "secrets"
	if out != "" {
		absolute, err := filepath.Abs(out)
		if err != nil {
			return fmt.Errorf("naming the folder: %w", err)
		}
		secrets = filepath.Join(absolute, "secrets")
	}
	config := m.config(secrets)
	if out == "" {
		_, err := fmt.Fprint(a.out, config)
		return err
	}
	if err := m.write(out, config); err != nil {
		return fmt.Errorf("writing what was read: %w", err)
	}
	fmt.Fprintf(a.out, wordMoved, len(m.clients), len(m.users), len(m.left), out)
	return nil
}

// dropUnknown takes reply attributes from a user that Sekisho does not know or cannot encode.
func dropUnknown(file string, u *freeradius.User) (left []freeradius.Left) {
	known := dictionary.New()
	u.Reply = slices.DeleteFunc(u.Reply, func(a authn.Attribute) bool {
		_, err := radius.CompileReply(known, []authn.Attribute{a})
		if err != nil {
			left = append(left, freeradius.Left{File: file, Line: u.Line, What: "user " + u.Name + ", " + a.Name, Why: "this attribute or its value is not known here"})
		}
		return err != nil
	})
	return left
}

// config words clients and reply attributes for conf.d.
func (m *moved) config(secrets string) string {
	var b strings.Builder
	b.WriteString("# Read from FreeRADIUS's files. Put it into conf.d beside sekisho.yaml, then: sekisho check-config\n")
	if len(m.clients) > 0 {
		b.WriteString("radius:\n  clients:\n")
	}
	for _, c := range m.clients {
		if c.Kind != "" && c.Kind != "other" {
			fmt.Fprintf(&b, "    # nas_type was %s: choose the profile that fits the gateway\n", text(c.Kind))
		}
		fmt.Fprintf(&b, "    - name: %s\n      addresses: [%s]\n      secret_file: %s\n", text(c.Name), text(c.Address), text(secretFile(secrets, c.Name)))
		switch {
		case c.MessageAuthenticator != "":
			fmt.Fprintf(&b, "      message_authenticator: %q\n", c.MessageAuthenticator)
		case strings.Contains(c.Address, "/"):
			b.WriteString("      # It was left to FreeRADIUS; set it to required as soon as every gateway sends it.\n      message_authenticator: \"off\"\n")
		default:
			b.WriteString("      message_authenticator: ratchet\n")
		}
		if c.LimitProxyState != nil {
			fmt.Fprintf(&b, "      limit_proxy_state: %t\n", *c.LimitProxyState)
		}
	}
	sets := m.replySets()
	if len(sets) > 0 {
		b.WriteString("replies:\n")
	}
	for i, set := range sets {
		fmt.Fprintf(&b, "  - name: %s\n    groups: [%[1]s]\n    set:\n", replyGroup(i))
		var names []string
		values := map[string][]string{}
		for _, a := range set {
			if _, known := values[a.Name]; !known {
				names = append(names, a.Name)
			}
			values[a.Name] = append(values[a.Name], text(a.Value))
		}
		for _, name := range names {
			fmt.Fprintf(&b, "      %s: [%s]\n", text(name), strings.Join(values[name], ", "))
		}
	}
	return b.String()
}

// replySets are the different lists of reply attributes that users have, in the order of their first user.
func (m *moved) replySets() (sets [][]authn.Attribute) {
	for _, u := range m.users {
		if len(u.Reply) > 0 && !slices.ContainsFunc(sets, func(s []authn.Attribute) bool { return slices.Equal(s, u.Reply) }) {
			sets = append(sets, u.Reply)
		}
	}
	return sets
}

func replyGroup(i int) string { return fmt.Sprintf("freeradius-%d", i+1) }

// people words the users for a directory of type file.
func (m *moved) people() (string, error) {
	sets := m.replySets()
	var b strings.Builder
	b.WriteString("# Read from FreeRADIUS's files, for a directory of type file.\nusers:\n")
	for _, u := range m.users {
		fmt.Fprintf(&b, "  - name: %s\n", text(u.Name))
		if u.Password.Len() > 0 {
			hash, err := directory.HashPassword(string(u.Password.Reveal()))
			if err != nil {
				return "", fmt.Errorf("user %s: %w", u.Name, err)
			}
			fmt.Fprintf(&b, "    password: %s\n", text(hash))
		}
		if i := slices.IndexFunc(sets, func(s []authn.Attribute) bool { return slices.Equal(s, u.Reply) }); i >= 0 && len(u.Reply) > 0 {
			fmt.Fprintf(&b, "    groups: [%s]\n", replyGroup(i))
		}
		if u.Denied {
			b.WriteString("    disabled: true\n")
		}
	}
	return b.String(), nil
}

// write makes the folder and everything in it, or nothing.
func (m *moved) write(out, config string) (err error) {
	people := ""
	if len(m.users) > 0 {
		if people, err = m.people(); err != nil {
			return err
		}
	}
	if err := os.Mkdir(out, 0o750); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(out))
		}
	}()
	secrets := filepath.Join(out, "secrets")
	if err := os.Mkdir(secrets, 0o750); err != nil {
		return err
	}
	for _, c := range m.clients {
		if err := os.WriteFile(secretFile(secrets, c.Name), c.Secret.Reveal(), 0o640); err != nil { //nolint:gosec // the service reads it by its group
			return err
		}
	}
	if people != "" {
		if err := os.WriteFile(filepath.Join(out, "users.yaml"), []byte(people), 0o640); err != nil { //nolint:gosec // the service reads it by its group
			return err
		}
	}
	return os.WriteFile(filepath.Join(out, "freeradius.yaml"), []byte(config), 0o640) //nolint:gosec // the service reads it by its group
}

// secretFile names the file of a client's secret; what is no letter or digit of ASCII becomes its number, so that no name
// leaves the folder and no two names meet.
func secretFile(folder, client string) string {
	var b strings.Builder
	for _, r := range client {
		if r == '-' || r == '.' && b.Len() > 0 || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "_%x_", r)
		}
	}
	return filepath.Join(folder, b.String()+".secret")
}

// text writes a value as YAML that is nothing but this text.
func text(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // a string is always encoded
	}
	return string(b)
}
