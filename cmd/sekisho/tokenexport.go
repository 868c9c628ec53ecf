package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"sekisho/admin"
)

// exportFlags are the options of `token export`.
type exportFlags struct {
	keyFile, passwordFile, certificateFile string
	state, form, reason                    string
	tokens                                 []string
}

func (a *app) tokenExport() *cobra.Command {
	var o exportFlags
	cmd := &cobra.Command{
		Use: "export FILE", Short: "Write tokens with their secrets to a sealed PSKC file, for moving elsewhere",
		Long: "FILE is made new, readable by you alone, and holds each token with its secret, counter, dates and user as PSKC (RFC 6030),\n" +
			"encrypted under a password, a key or for a certificate. `sekisho token import` reads it back as it was; other servers\n" +
			"read what RFC 6030 has a place for. Without --state and --token, all tokens in stock and in use are written.\n\n" +
			"Whoever opens the file can make every code of its tokens. Who took it, how many and why stands in the audit.",
		Example: "  sekisho token export tokens.xml --password-file password.txt --reason 'move to the new site'\n" +
			"  sekisho token export one.xml --token 8011200001 --certificate-file recipient.pem --reason 'ticket 4711'",
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.exportFile(cmd, args[0], &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.passwordFile, "password-file", "", "`file` with a password of 16 characters or more")
	f.StringVar(&o.keyFile, "key-file", "", "`file` with a key of 16, 24 or 32 octets, in hexadecimal or base64")
	f.StringVar(&o.certificateFile, "certificate-file", "", "`file` with the recipient's certificate (PEM, RSA)")
	f.StringVar(&o.state, "state", "", "only tokens that are `STATE`: \"in stock\", \"in use\" or expired")
	f.StringVar(&o.form, "form", "", "only hardware or software tokens")
	f.StringSliceVar(&o.tokens, "token", nil, "only this `TOKEN`, by serial, credential ID or ID; may be given several times")
	f.StringVar(&o.reason, "reason", "", "`why`, for the audit; needed")
	return a.remote(cmd)
}

func (a *app) exportFile(cmd *cobra.Command, path string, o *exportFlags) error {
	body := map[string]any{"reason": o.reason}
	if o.reason == "" {
		return usageError{errors.New("--reason is needed: it stands in the audit")}
	}
	for name, file := range map[string]string{"password": o.passwordFile, "key": o.keyFile, "certificate": o.certificateFile} {
		if file == "" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		body[name] = string(bytes.TrimRight(text, "\r\n"))
	}
	for name, value := range map[string]string{"state": o.state, "form": o.form} {
		if value != "" {
			body[name] = value
		}
	}
	if len(o.tokens) > 0 {
		body["tokens"] = o.tokens
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	res, err := a.api().send(cmd.Context(), http.MethodPost, "/api/v1/tokens/export", body)
	if err == nil {
		err = writeWhole(out, res.Body)
		_ = res.Body.Close()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = os.Remove(path)
		return err
	}
	fmt.Fprintf(a.out, wordExported+"\n", res.Header.Get(admin.ExportCount), path)
	if shared := res.Header.Get(admin.ExportShared); shared != "0" {
		fmt.Fprintf(a.out, wordExportShared+"\n", shared)
	}
	return nil
}

// writeWhole copies an export to a file, and sees that it has its end.
func writeWhole(out *os.File, in io.Reader) error {
	end := &tail{}
	if _, err := io.Copy(io.MultiWriter(out, end), in); err != nil {
		return fmt.Errorf("%s (%w)", wordExportCut, err)
	}
	if string(end.last) != admin.ExportEnd {
		return errors.New(wordExportCut)
	}
	return out.Sync()
}

// tail keeps the last octets that were written to it, as many as an export's end has.
type tail struct{ last []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	if extra := len(t.last) - len(admin.ExportEnd); extra > 0 {
		t.last = bytes.Clone(t.last[extra:])
	}
	return len(p), nil
}
