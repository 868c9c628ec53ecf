package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"sekisho/admin"
)

// importFlags are the options of `token import`.
type importFlags struct {
	format, encoding, dateOrder, dateOnly string
	columns, skip                         []string
	noHeader, dryRun, pending, skipBad    bool
	keyFile, passwordFile, users          string
	privateKeyFile                        string
	assume                                []string
	ignoreSignature                       bool
}

func (a *app) tokenImport() *cobra.Command {
	var o importFlags
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Bring the tokens of a seed file in, all or none",
		Long: "FILE is a seed file as vendors ship it: text in columns (CSV), PSKC (RFC 6030), XML or text of SafeNet and Feitian, the\n" +
			"log of Yubico's personalization tool, or one otpauth URI a line, the bundles that apps export among them. It is told\n" +
			"apart by how it begins. - reads standard input.\n\n" +
			"The header of a text file names its columns: serial, secret, user, mode, hash, digits, period, counter, start, expiry,\n" +
			"form, credential_id and what vendors call them (docs/seed-files.md); --columns says what it does not. The user column,\n" +
			"an otpauth URI's label or --users says who gets a token; the others go into the stock.\n\n" +
			"Try --dry-run first: it tells what the file holds, when its tokens expire as the dates were read, and every line that\n" +
			"is wrong. One wrong line refuses the file, unless --skip-bad is given. A token that is here already stays as it is,\n" +
			"so the same file twice changes nothing. Logins go on meanwhile.",
		Example: "  sekisho token import tokens.csv --dry-run\n" +
			"  sekisho token import tokens.csv --users who.csv --pending\n" +
			"  sekisho token import vendor.csv --columns serial=2,secret=Seed --secret-encoding hex --date-order mdy\n" +
			"  sekisho token import tokens.xml --password-file password.txt",
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.importFile(cmd, args[0], &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "auto", "auto, csv, pskc, otpauth, safenet, feitian or yubico")
	f.StringSliceVar(&o.columns, "columns", nil, "columns of a text file, as `FIELD=NAME` or FIELD=NUMBER, 1 for the first")
	f.StringSliceVar(&o.skip, "skip-columns", nil, "columns to pass over, by `NAME` or number")
	f.BoolVar(&o.noHeader, "no-header", false, "the first line is a token already; --columns gives numbers")
	f.StringVar(&o.encoding, "secret-encoding", "auto", "hex, base32 or base64, where the column does not say it")
	f.StringSliceVar(&o.assume, "assume", nil, "what to take where the file says nothing: `mode=hotp`, hash=SHA256, digits=8, period=60")
	f.StringVar(&o.dateOrder, "date-order", "auto", "mdy, dmy or ymd, where a date such as 01/02/25 does not say it")
	f.StringVar(&o.dateOnly, "date-only", "", "`MOMENT` at which a token stops whose file gives only a date, as \"09:00 Asia/Tokyo\"\n(default: expiry.date_only of the configuration)")
	f.StringVar(&o.keyFile, "key-file", "", "`file` with the key of an encrypted PSKC file, in hexadecimal or base64")
	f.StringVar(&o.passwordFile, "password-file", "", "`file` with the password of an encrypted PSKC file")
	f.StringVar(&o.privateKeyFile, "private-key-file", "", "`file` with the private key (PEM) of the certificate that a PSKC file was made for")
	f.BoolVar(&o.ignoreSignature, "ignore-signature", false, "read a signed PSKC file without checking its signature")
	f.StringVar(&o.users, "users", "", "`file` of lines \"serial,user\" that says who gets which token")
	f.BoolVar(&o.dryRun, "dry-run", false, "report and change nothing; exit status 1 if the file would be refused")
	f.BoolVar(&o.skipBad, "skip-bad", false, "leave bad rows out and import the others")
	f.BoolVar(&o.pending, "pending", false, "tokens with a user open nothing before their first right code")
	return a.listing(cmd)
}

// importFile sends the file, shows how far the service has come, and prints what it reports.
func (a *app) importFile(cmd *cobra.Command, path string, o *importFlags) error {
	body, kind, err := a.importForm(path, o)
	if err != nil {
		return err
	}
	q := url.Values{"progress": {"true"}, "rows": {strconv.FormatBool(a.json)}, "source": {filepath.Base(path)},
		"dry_run": {strconv.FormatBool(o.dryRun)}, "skip_bad": {strconv.FormatBool(o.skipBad)}, "pending": {strconv.FormatBool(o.pending)},
		"no_header": {strconv.FormatBool(o.noHeader)}, "format": {o.format}, "secret_encoding": {o.encoding}, "date_order": {o.dateOrder},
		"date_only": {o.dateOnly}, "ignore_signature": {strconv.FormatBool(o.ignoreSignature)}}
	for name, list := range map[string][]string{"columns": o.columns, "skip_columns": o.skip, "assume": o.assume} {
		if len(list) > 0 {
			q.Set(name, strings.Join(list, ","))
		}
	}
	res, err := a.api().send(cmd.Context(), http.MethodPost, "/api/v1/tokens/import?"+q.Encode(), upload{kind, body})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	show := progressLine{out: a.err, on: terminal(a.err)}
	defer show.end()
	for in := json.NewDecoder(res.Body); ; {
		var line admin.ImportLine
		if err := in.Decode(&line); err != nil {
			if cmd.Context().Err() != nil {
				return errors.New(wordImportCut)
			}
			return fmt.Errorf("%s (%w)", wordImportCut, err)
		}
		switch {
		case line.Progress != nil:
			show.step(line.Progress)
		case line.Problem != nil:
			show.end()
			return a.importRefused(line.Problem)
		case line.Report != nil:
			show.end()
			return a.importReport(line.Report, o)
		}
	}
}

// importForm makes the body: the file and what belongs to it, so that no password stands in a URL or among the arguments.
func (a *app) importForm(path string, o *importFlags) (body *bytes.Buffer, kind string, err error) {
	body = &bytes.Buffer{}
	form := multipart.NewWriter(body)
	for _, part := range []struct{ name, path string }{{"file", path}, {"users", o.users}, {"key", o.keyFile}, {"password", o.passwordFile}, {"private_key", o.privateKeyFile}} {
		if part.path == "" {
			continue
		}
		var text []byte
		if part.path == "-" && part.name == "file" {
			text, err = io.ReadAll(a.in)
		} else {
			text, err = os.ReadFile(part.path)
		}
		if err != nil {
			return nil, "", err
		}
		if part.name == "password" {
			text = bytes.TrimRight(text, "\r\n")
		}
		w, err := form.CreateFormField(part.name)
		if err != nil {
			return nil, "", err
		}
		if _, err := w.Write(text); err != nil {
			return nil, "", err
		}
	}
	return body, form.FormDataContentType(), form.Close()
}

// importRefused tells why nothing came in, after what the file holds.
func (a *app) importRefused(p *admin.Problem) error {
	if p.Report != nil && a.json {
		if err := a.printJSON(p.Report); err != nil {
			return err
		}
	} else if p.Report != nil {
		a.importSummary(p.Report, "Would import")
	}
	return sentences(p)
}

func (a *app) importReport(r *admin.ImportReport, o *importFlags) error {
	refused := r.DryRun && r.Faults > 0 && !o.skipBad
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		switch {
		case r.DryRun:
			a.importSummary(r, "Would import")
		case r.Tokens == 0 && r.Here > 0 && r.Faults == 0:
			fmt.Fprintf(a.out, wordAllHere+"\n", r.Here)
		default:
			a.importSummary(r, "Imported")
		}
		a.importList(r)
		if r.DryRun {
			fmt.Fprintln(a.out, wordDryRun)
		}
	}
	if refused {
		return statusError(1)
	}
	return nil
}

// importSummary tells the counts. verb begins the sentence.
func (a *app) importSummary(r *admin.ImportReport, verb string) {
	fmt.Fprintf(a.out, "%s %d tokens: %d hardware, %d software; %d time-based, %d event-based; %d assigned to users.\n",
		verb, r.Tokens, r.Hardware, r.Software, r.TOTP, r.HOTP, r.Assigned)
	if r.Here > 0 {
		fmt.Fprintf(a.out, "%d more are here already and stay as they are.\n", r.Here)
	}
	if e := r.Expiry; e.Earliest != "" {
		text := "They stop at " + e.Earliest
		if e.Earliest != e.Latest {
			text = "They stop between " + e.Earliest + " and " + e.Latest
		}
		if e.Soon > 0 {
			text += fmt.Sprintf("; %d of them within 90 days", e.Soon)
		}
		if e.Never > 0 {
			text += fmt.Sprintf("; %d never", e.Never)
		}
		fmt.Fprintln(a.out, text+".")
	}
}

// importList names what is wrong or odd, line by line.
func (a *app) importList(r *admin.ImportReport) {
	list := func(all int, what string, some []admin.ImportFault) {
		if all == 0 {
			return
		}
		fmt.Fprintf(a.out, "%d %s:\n", all, what)
		for i := range some {
			fmt.Fprintf(a.out, "  %s: %s\n", some[i].Where(), some[i].Problem)
		}
		if all > len(some) {
			fmt.Fprintf(a.out, "  and %d more; --json names them all\n", all-len(some))
		}
	}
	what := "faults, each of which refuses the file"
	if !r.DryRun {
		what = "faults; these rows were left out"
	}
	list(r.Faults, what, r.Listed)
	list(r.Notes, "notes", r.Remarks)
}

// progressLine shows how far a long command has come, on a terminal alone: in a log it would only be noise.
type progressLine struct {
	out   io.Writer
	on    bool
	drawn bool
}

var stageWords = map[string]string{"reading": "rows read", "looking-up": "users looked up", "writing": "rows written", "erasing": "events looked at"}

func (l *progressLine) step(p *admin.ImportProgress) {
	if !l.on {
		return
	}
	l.drawn = true
	what := cmp.Or(stageWords[p.Stage], p.Stage)
	if p.Of > 0 {
		fmt.Fprintf(l.out, "\r\x1b[K%d of %d %s", p.Done, p.Of, what)
	} else {
		fmt.Fprintf(l.out, "\r\x1b[K%d %s", p.Done, what)
	}
}

// end clears the line.
func (l *progressLine) end() {
	if l.drawn {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
	l.drawn = false
}

// terminal tells whether a person watches.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
