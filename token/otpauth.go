package token

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxURI bounds an otpauth URI in octets: the longest secret and label, every character escaped, fit.
const maxURI = 4096

// maxLabel bounds issuer and user in octets; a User-Name of RADIUS has no more than 253.
const maxLabel = 253

// FormatURI gives the otpauth URI that authenticator apps read from a QR code. It holds the secret in plain.
//
// The label is "issuer:user" and the issuer stands in the parameters too, because apps differ in which of the two they
// read; a colon in the issuer becomes a blank, since the first one ends it. Algorithm, digits and period are always
// written, the defaults too: the usual apps read them or pass over them, and a reader that knows other defaults shows the right
// code. Blanks are %20: some apps show a + as a plus. The secret is base32 in capitals without padding, which is the one
// spelling that all apps read.
func FormatURI(t *Token, seed []byte, issuer, user string) string {
	issuer = strings.ReplaceAll(issuer, ":", " ")
	var b strings.Builder
	b.WriteString("otpauth://" + t.Mode.String() + "/")
	if issuer != "" {
		b.WriteString(escape(issuer) + ":")
	}
	b.WriteString(escape(user) + "?secret=" + idEncoding.EncodeToString(seed))
	if issuer != "" {
		b.WriteString("&issuer=" + escape(issuer))
	}
	b.WriteString("&algorithm=" + t.Hash.String() + "&digits=" + strconv.Itoa(int(t.Digits)))
	if t.Mode == HOTP {
		b.WriteString("&counter=" + strconv.FormatInt(t.Last+1, 10))
	} else {
		b.WriteString("&period=" + strconv.Itoa(int(t.Period)))
	}
	return b.String()
}

// escape leaves only the unreserved characters of RFC 3986 §2.3.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// URI is what an otpauth URI says.
type URI struct {
	Token  Token // software, in stock, without ID, seal or fingerprint, nothing used but the counters before an HOTP URI's
	Seed   Seed  // the caller clears it
	Issuer string
	User   string // the account as the label names it
}

// ParseURI reads an otpauth URI. What a URI leaves out is SHA-1, 6 digits, 30 s. Parameters it does not know (apps put
// images and colours there) are passed over; one that is given twice is refused, because readers would differ in which of
// them counts. Errors name the parameter and never show the secret.
func ParseURI(s string) (URI, error) {
	u, err := parseURI(strings.TrimSpace(s))
	if err != nil {
		clear(u.Seed)
		return URI{}, fmt.Errorf("reading an otpauth URI: %w", err)
	}
	return u, nil
}

func parseURI(s string) (URI, error) {
	if len(s) > maxURI {
		return URI{}, fmt.Errorf("it has %d characters: want at most %d", len(s), maxURI)
	}
	// The errors of net/url repeat the URI, and with it the secret.
	raw, err := url.Parse(s)
	if err != nil {
		return URI{}, errors.New("it is no URI of the form otpauth://totp/ISSUER:USER?secret=BASE32")
	}
	if raw.Scheme == "otpauth-migration" {
		return URI{}, errors.New("it is a bundle that an app exports and may hold several tokens; want otpauth://totp/ISSUER:USER?secret=..., or import the bundle as a file")
	}
	if raw.Scheme != "otpauth" || raw.Opaque != "" || raw.User != nil || raw.Fragment != "" {
		return URI{}, errors.New("want otpauth://totp/ISSUER:USER?secret=... and nothing more")
	}
	mode, err := parseMode(raw.Host)
	if err != nil {
		return URI{}, fmt.Errorf("the kind of token: %w", err)
	}
	parameters, err := uriParameters(raw.RawQuery)
	if err != nil {
		return URI{}, err
	}
	u := URI{Token: Token{Form: Software, Mode: mode, State: InStock}}
	err = u.label(raw.Path, parameters["issuer"])
	if err != nil {
		return URI{}, err
	}
	return u, u.numbers(parameters)
}

// uriParameters gives the parameters by their names in small letters.
func uriParameters(query string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("its parameters are not escaped as in a URI: want name=value, joined by &")
	}
	parameters := make(map[string]string, len(values))
	for name, list := range values {
		name = strings.ToLower(name)
		if _, twice := parameters[name]; twice || len(list) > 1 {
			return nil, fmt.Errorf("the parameter %s is given twice", shown(name))
		}
		parameters[name] = list[0]
	}
	return parameters, nil
}

// label reads issuer and user. The parameter names the issuer where both do: apps that rename an entry keep it.
func (u *URI) label(path, issuer string) error {
	label := strings.TrimPrefix(path, "/")
	before, after, found := strings.Cut(label, ":")
	u.User = strings.TrimSpace(label)
	if found {
		u.Issuer, u.User = strings.TrimSpace(before), strings.TrimSpace(after)
	}
	if issuer != "" {
		u.Issuer = strings.TrimSpace(issuer)
	}
	for _, text := range []string{u.Issuer, u.User} {
		if len(text) > maxLabel || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("issuer and user: want at most %d octets of UTF-8 each, without control characters", maxLabel)
		}
	}
	return nil
}

func (u *URI) numbers(parameters map[string]string) error {
	secret := parameters["secret"]
	if secret == "" {
		return errors.New("it has no secret")
	}
	var err error
	u.Seed, err = decodeSecret([]byte(secret), decodeBase32)
	if err != nil {
		return err
	}
	t := &u.Token
	if encoder := parameters["encoder"]; encoder != "" {
		return fmt.Errorf("encoder %s: only codes of digits are taken", shown(encoder))
	}
	t.Hash, err = parseHash(cmp.Or(parameters["algorithm"], "SHA1"))
	if err != nil {
		return fmt.Errorf("algorithm %w", err)
	}
	digits, err := parseNumber(cmp.Or(parameters["digits"], "6"), MinDigits, MaxDigits)
	if err != nil {
		return fmt.Errorf("digits %w", err)
	}
	t.Digits, t.Last = uint8(digits), NoStep
	if t.Mode == HOTP {
		counter, err := parseNumber(parameters["counter"], 0, MaxCounter)
		if err != nil {
			return fmt.Errorf("counter %w", err)
		}
		t.Last = counter - 1
		return nil
	}
	period, err := parseNumber(cmp.Or(parameters["period"], "30"), MinPeriod, MaxPeriod)
	if err != nil {
		return fmt.Errorf("period %w", err)
	}
	t.Period = uint16(period)
	return nil
}
