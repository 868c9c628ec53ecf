package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekisho/authn"
	"sekisho/mail"
)

// testMail is `test mail`.
func (a *app) testMail() *cobra.Command {
	var kind, language, page string
	var preview bool
	cmd := &cobra.Command{
		Use: "mail ADDRESS", Short: "Send one mail as the service would, and show what the mail server says",
		Long: "It reads the mail section of the configuration, the texts of the site included, and sends a mail with made-up contents\n" +
			"straight to the mail server; no service is asked. The server's answer is shown word for word. With --preview nothing is sent:\n" +
			"the text goes to standard output, and --html FILE takes the other half of the mail. Exit 1: the server did not take it.",
		Example: "  sekisho test mail admin@example.com\n  sekisho test mail --preview --kind expiry --language en\n" +
			"  sekisho test mail admin@example.com --kind activation --config ./sekisho.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%q is one argument too many", args[1])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(mail.Kinds(), authn.MessageKind(kind)) {
				var all []string
				for _, k := range mail.Kinds() {
					all = append(all, string(k))
				}
				return usageError{fmt.Errorf("--kind %q is no mail: choose %s", kind, strings.Join(all, ", "))}
			}
			if language != "ja" && language != "en" {
				return usageError{fmt.Errorf("--language %q: choose ja or en", language)}
			}
			c, _, err := loadConfig(a.configFile(), a.environ)
			if err != nil {
				return err
			}
			m := mail.Sample(authn.MessageKind(kind), language)
			if preview {
				return a.previewMail(c.Mail, m, page)
			}
			if len(args) == 0 {
				return usageError{errors.New("name the address that the mail is to go to, or --preview")}
			}
			if !c.Mail.On() {
				return errors.New("the configuration names no mail server; give mail.server and mail.from")
			}
			m.To, m.State = args[0], authn.MessageSending
			got, err := c.Mail.Try(cmd.Context(), m, time.Now())
			if err != nil {
				return err
			}
			switch got.State {
			case authn.MessageSent:
				fmt.Fprintf(a.out, "%s took the mail: %s\n", c.Mail.Server, got.Answer)
				return nil
			case authn.MessageUnknown:
				return fmt.Errorf("%s was given the whole mail and said nothing to it; look whether it arrived. %s", c.Mail.Server, got.Answer)
			case authn.MessageRefused:
				return fmt.Errorf("%s refuses the mail for good: %s", c.Mail.Server, got.Answer)
			}
			return fmt.Errorf("%s did not take the mail; the service would try again later: %s", c.Mail.Server, got.Answer)
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", string(authn.MailActivation), "which `mail`")
	f.StringVar(&language, "language", "ja", "which language comes first: ja or en")
	f.BoolVar(&preview, "preview", false, "show the text and send nothing")
	f.StringVar(&page, "html", "", "with --preview: `file` for the HTML half")
	a.configFlag(cmd)
	return cmd
}

func (a *app) previewMail(c mail.Config, m authn.Message, page string) error {
	text, err := c.Preview(m)
	if err != nil {
		return err
	}
	if page != "" {
		if err := os.WriteFile(page, []byte(text.HTML), 0o600); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.out, "Subject: %s\n\n%s", text.Subject, text.Plain)
	return nil
}
