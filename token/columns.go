package token

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A column of a seed file in text fills one field. Fields have one name here and many in vendors' headers.

// fieldNames are the fields as options name them. A file that names its columns so is always understood.
const fieldNames = "serial, credential_id, secret, secret_hex, secret_base32, secret_base64, mode, hash, digits, period, counter, " +
	"start, expiry, form, user"

// spellings are the names of columns in the files of vendors, in small letters without blanks and signs.
var spellings = func() map[string]string {
	all := map[string]string{}
	for field, names := range map[string]string{
		"serial": "serial serialno serialnr serialnum serialnumber sn snr tokenserial tokenserialno tokenserialnumber tokensn " +
			"tokennumber tokenid deviceserial deviceserialnumber hardwareserial シリアル シリアル番号 製造番号 トークン番号",
		"credential_id": "credentialid oathid oathtokenid oathtokenidentifier tokenidentifier",
		"mode":          "mode type tokentype otptype oathtype otpmode algorithm otpalgorithm 方式 種別",
		"hash":          "hash hashalgorithm hashfunction hmac hmacalgorithm hmachash shaversion ハッシュ",
		"digits":        "digits otpdigits codedigits numberofdigits otplength otplen codelength tokenlength 桁数",
		"period":        "period timeperiod interval timeinterval step steps stepsize timestep timesteps timestepsize refreshinterval 更新間隔 周期",
		"counter":       "counter eventcounter initialcounter movingfactor hotpcounter カウンタ カウンター",
		"start":         "start startdate validfrom notbefore startsat activefrom 開始日 利用開始日 有効開始日",
		"expiry": "expiry expirydate expires expiresat expireson expire expiredate expiration expirationdate validuntil validto " +
			"validthrough notafter enddate 有効期限 期限 有効期限日 終了日",
		"form": "form formfactor 形態",
		"user": "user username userid useraccount upn userprincipalname login loginname loginid account accountname samaccountname " +
			"assignedto assignto assigneduser owner uid ユーザ ユーザー ユーザid ユーザーid ユーザ名 ユーザー名 利用者 利用者id アカウント",
		"": "manufacturer vendor maker make model modelname product productname producttype tokenmodel batch batchno lot lotno box carton " +
			"orderno ordernumber comment comments note notes remark remarks description メーカー 製造元 型番 型名 備考 説明",
	} {
		for name := range strings.FieldsSeq(names) {
			all[name] = field
		}
	}
	for name := range strings.FieldsSeq("secret seed key secretkey seedkey keydata seedvalue sharedsecret sharedkey tokensecret tokenseed tokenkey " +
		"otpsecret otpseed otpkey oathsecret oathkey oathseed シード シークレット 秘密鍵 シード値") {
		all[name] = "secret"
		for word, encoding := range map[string]string{"hex": "hex", "hexadecimal": "hex", "base32": "base32", "b32": "base32", "base64": "base64", "b64": "base64"} {
			all[name+word] = "secret_" + encoding
			all[word+name] = "secret_" + encoding
		}
	}
	return all
}()

// plainName takes away what headers differ in: case, blanks, underscores, hyphens, dots, slashes and brackets.
func plainName(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) || c == 'ー' {
			return unicode.ToLower(c)
		}
		return -1
	}, name)
}

// column is what the reader does with one column: nothing where field is empty.
type column struct {
	name  string // for errors: as the header has it, or its number
	field string
	empty bool // has neither name nor field; nothing may stand in it
}

// columnsOf works out which column holds what. fields is the first line, which names the columns unless NoHeader.
func (o *ReadOptions) columnsOf(fields [][]byte) ([]column, error) {
	columns := make([]column, len(fields))
	for i, field := range fields {
		columns[i].name = strconv.Itoa(i + 1)
		if !o.NoHeader && len(field) > 0 {
			columns[i].name = string(field)
		}
	}
	taken, err := o.given(columns)
	if err != nil {
		return nil, err
	}
	for i := range columns {
		c := &columns[i]
		if taken[i] || o.NoHeader {
			continue
		}
		if len(fields[i]) == 0 {
			c.empty = true
			continue
		}
		field, known := spellings[plainName(c.name)]
		if !known {
			return nil, fmt.Errorf("column %d, %s, is not known by its name: say which field it holds (one of %s) or that it is to be passed over; "+
				"if the first line is a token already, say that there is no header and give the columns by number", i+1, shown(c.name), fieldNames)
		}
		if !o.names(field) {
			c.field = field
		}
	}
	return columns, checkColumns(columns)
}

// given applies Columns and Skip, and says which columns they speak of.
func (o *ReadOptions) given(columns []column) (taken []bool, err error) {
	taken = make([]bool, len(columns))
	names := slices.Clone(columns)
	place := func(name string) (at int, isName bool, err error) {
		at = slices.IndexFunc(names, func(c column) bool { return plainName(c.name) == plainName(name) })
		if at >= 0 && !o.NoHeader {
			return at, true, nil
		}
		if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(columns) {
			return n - 1, false, nil
		}
		return 0, false, fmt.Errorf("there is no column %s: the first line has %d columns", shown(name), len(columns))
	}
	for _, field := range slices.Sorted(maps.Keys(o.Columns)) {
		known := spellings[plainName(field)]
		if known == "" {
			return nil, fmt.Errorf("%s is not a field: want one of %s", shown(field), fieldNames)
		}
		at, isName, err := place(o.Columns[field])
		switch {
		case err != nil:
			return nil, fmt.Errorf("the column for %s: %w", known, err)
		case taken[at]:
			return nil, fmt.Errorf("column %q is given for two fields", o.Columns[field])
		}
		columns[at].field, taken[at] = known, true
		if !isName {
			columns[at].name = o.Columns[field] // the first line may be a token, and errors show names
		}
	}
	for _, name := range o.Skip {
		at, _, err := place(name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the column to pass over: %w", err)
		case columns[at].field != "":
			return nil, fmt.Errorf("column %q is given for a field and to be passed over", name)
		}
		taken[at] = true
	}
	return taken, nil
}

// names says whether Columns gives a column for the field, or, for a secret, for any spelling of one.
func (o *ReadOptions) names(field string) bool {
	for name := range o.Columns {
		known := spellings[plainName(name)]
		if known == field || (isSecret(known) && isSecret(field)) {
			return true
		}
	}
	return false
}

func isSecret(field string) bool { return strings.HasPrefix(field, "secret") }

// checkColumns refuses fields that come twice and files without secrets. Two columns may both tell the mode, as vendors'
// "type" and "algorithm" do.
func checkColumns(columns []column) error {
	secret := ""
	for i, c := range columns {
		if isSecret(c.field) {
			if secret != "" {
				return fmt.Errorf("the columns %q and %q both hold secrets: say which of them to take", secret, c.name)
			}
			secret = c.name
		}
		for _, other := range columns[:i] {
			if c.field != "" && c.field != "mode" && c.field == other.field {
				return fmt.Errorf("the columns %q and %q both hold the %s: say which of them to take", other.name, c.name, c.field)
			}
		}
	}
	if secret == "" {
		return errors.New("no column holds the secrets: want one with the name secret, secret_hex, secret_base32 or secret_base64, or say which column it is")
	}
	return nil
}

// fill reads the fields of one line into a row. Empty ones keep their defaults:
//
//	serial         as engraved; unique in the file
//	credential_id  OATH token identifier; unique in the file
//	secret...      16 to 128 octets; unique in the file
//	mode           totp (default) or hotp; a hash or a form may stand there too
//	hash           SHA1 (default), SHA256, SHA512
//	digits         6 (default) to 8
//	period         seconds, 10 to 120, 30 by default; hotp has none
//	counter        hotp: the counter of the next code, 0 by default; totp has none, or 0
//	start, expiry  instants or dates, see ReadOptions.DateOnly
//	form           hardware (default for rows with a serial) or software
//	user           who gets the token, as they type their name
func (c *csvReader) fill(row *Row) error {
	counter := false
	for i, column := range c.columns {
		text := c.fields[i]
		if len(text) == 0 {
			continue
		}
		if column.empty {
			return c.fault(column.name, errors.New("the header has no name for it; give the column a name, or empty it"))
		}
		if err := c.field(row, column.field, text); err != nil {
			return c.fault(column.name, err)
		}
		counter = counter || (column.field == "counter" && row.Token.Last != NoStep)
	}
	t := &row.Token
	assume := &c.options.Assume
	t.Mode, t.Digits = cmp.Or(t.Mode, assume.Mode, TOTP), cmp.Or(t.Digits, assume.Digits, 6)
	row.guessHash(c.options)
	if t.Mode == TOTP {
		t.Period = cmp.Or(t.Period, assume.Period, 30)
	}
	if t.Form == 0 {
		t.Form = Software
		if t.Serial != "" {
			t.Form = Hardware
		}
	}
	switch {
	case t.Mode == TOTP && counter:
		return c.fault("counter", errors.New("a time-based token has none; leave it empty"))
	case t.Mode == HOTP && t.Period != 0:
		return c.fault("period", errors.New("an event-based token has none; leave it empty"))
	case t.Form == Hardware && t.Serial == "":
		return c.fault("serial", errors.New("a hardware token needs the serial that is engraved on it"))
	case t.Serial == "" && row.User == "":
		return c.fault("", errors.New("it has neither serial nor user, so nobody could find the token again"))
	case row.Seed == nil:
		return c.fault("", errors.New("it has no secret"))
	}
	if err := t.Check(); err != nil {
		return c.fault("", err)
	}
	return nil
}

func (c *csvReader) field(row *Row, field string, text []byte) (err error) {
	t, s := &row.Token, string(text)
	var n int64
	switch field {
	case "serial":
		if t.Serial = s; shortened.MatchString(s) {
			err = fmt.Errorf("%s is what a spreadsheet makes of a long number; give the column the form of text and save the file again", shown(s))
		}
	case "credential_id":
		t.CredentialID = s
	case "secret", "secret_hex", "secret_base32", "secret_base64":
		row.Seed, err = c.encoding.decode(text)
	case "mode":
		err = setKind(t, s)
	case "hash":
		err = set(&t.Hash, s, parseHash)
	case "digits":
		n, err = parseNumber(s, MinDigits, MaxDigits)
		t.Digits = uint8(n)
	case "period":
		n, err = parseNumber(strings.TrimRight(strings.ToLower(s), " cdenos"), MinPeriod, MaxPeriod)
		t.Period = uint16(n)
	case "counter":
		n, err = parseNumber(s, 0, MaxCounter)
		t.Last = n - 1
	case "start":
		row.StartText = s
		t.Start, err = c.instant(row, s)
	case "expiry":
		row.ExpiryText = s
		t.Expiry, err = c.instant(row, s)
	case "form":
		err = set(&t.Form, s, parseForm)
	case "user":
		row.User = s
		if len(text) > maxLabel || bytes.ContainsFunc(text, unicode.IsControl) {
			err = fmt.Errorf("want at most %d octets without control characters", maxLabel)
		}
	}
	return err
}

// shortened is a serial such as 2.60012E+12, of which the end is lost.
var shortened = regexp.MustCompile(`^[0-9][.,]?[0-9]*[eE]\+[0-9]+$`)

// guessHash takes what is assumed, else SHA-1, where the file names no hash. A secret of the length that RFC 6238 gives another one is odd then: a
// token that is read with the wrong hash never opens anything.
func (r *Row) guessHash(o *ReadOptions) {
	r.Token.Hash = cmp.Or(r.Token.Hash, o.Assume.Hash)
	if r.Token.Hash != 0 {
		return
	}
	r.Token.Hash = SHA1
	if n := len(r.Seed); n == 32 || n == 64 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("its secret has %d octets, as for SHA%d, and the file names no hash; read as SHA1, so try a code first", n, n*8))
	}
}

func (c *csvReader) instant(row *Row, text string) (int64, error) {
	at, warning, err := c.options.parseInstant(text)
	if warning != "" {
		row.Warnings = append(row.Warnings, warning)
	}
	return at, err
}

// setKind reads a column such as "type" or "algorithm", in which vendors write what moves the token, its hash or its form.
func setKind(t *Token, s string) error {
	if _, err := parseHash(s); err == nil {
		return set(&t.Hash, s, parseHash)
	}
	if _, err := parseForm(s); err == nil {
		return set(&t.Form, s, parseForm)
	}
	return set(&t.Mode, s, parseMode)
}

// set reads a word that a second column may repeat and not contradict.
func set[T ~uint8](to *T, s string, parse func(string) (T, error)) error {
	v, err := parse(s)
	if err == nil && *to != 0 && *to != v {
		return fmt.Errorf("%s contradicts another column", shown(s))
	}
	*to = v
	return err
}
