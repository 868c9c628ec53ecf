package directory

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

func TestBarred(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ticks := func(at time.Time) string { return fmt.Sprint((at.Unix() + 11_644_473_600) * 10_000_000) }
	const unreadable = authn.Reason(255)
	for _, c := range []struct {
		attrs map[string]string
		want  authn.Reason
	}{
		{nil, 0},
		{map[string]string{"userAccountControl": "512"}, 0},
		{map[string]string{"userAccountControl": "514"}, authn.UserDisabled},
		{map[string]string{"useraccountcontrol": "514"}, authn.UserDisabled},
		{map[string]string{"userAccountControl": "66050"}, authn.UserDisabled},
		{map[string]string{"userAccountControl": "528"}, authn.UserLocked},
		{map[string]string{"userAccountControl": "514", "accountExpires": "1"}, authn.UserDisabled},
		{map[string]string{"userAccountControl": "x"}, unreadable},
		{map[string]string{"userAccountControl": "0x202"}, unreadable},
		{map[string]string{"msDS-User-Account-Control-Computed": "16"}, authn.UserLocked},
		{map[string]string{"msDS-User-Account-Control-Computed": "8388608"}, authn.PasswordExpired},
		{map[string]string{"msDS-User-Account-Control-Computed": "0"}, 0},
		{map[string]string{"msDS-User-Account-Control-Computed": "?"}, unreadable},
		{map[string]string{"accountExpires": "0"}, 0},
		{map[string]string{"accountExpires": "9223372036854775807"}, 0},
		{map[string]string{"accountExpires": ticks(now.Add(time.Second))}, 0},
		{map[string]string{"accountExpires": ticks(now)}, authn.UserExpired},
		{map[string]string{"accountExpires": ticks(now.Add(-time.Hour))}, authn.UserExpired},
		{map[string]string{"accountExpires": "99999999999999999999"}, unreadable},
		{map[string]string{"pwdLastSet": "0", "userAccountControl": "512"}, authn.PasswordMustChange},
		{map[string]string{"pwdLastSet": "0", "msDS-User-Account-Control-Computed": "8388608"}, authn.PasswordMustChange},
		{map[string]string{"lockoutTime": "133000000000000000", "msDS-User-Account-Control-Computed": "0"}, 0},
		{map[string]string{"pwdLastSet": "0", "userAccountControl": "66048"}, 0},
		{map[string]string{"pwdLastSet": "133000000000000000"}, 0},
		{map[string]string{"pwdLastSet": "today"}, unreadable},
		{map[string]string{"nsAccountLock": "true"}, authn.UserDisabled},
		{map[string]string{"nsAccountLock": "TRUE"}, authn.UserDisabled},
		{map[string]string{"nsAccountLock": "false"}, 0},
		{map[string]string{"pwdAccountLockedTime": "000001010000Z"}, authn.UserLocked},
		{map[string]string{"pwdAccountLockedTime": "20261122115959Z"}, 0},
		{map[string]string{"pwdReset": "TRUE"}, authn.PasswordMustChange},
		{map[string]string{"pwdReset": "FALSE"}, 0},
		{map[string]string{"shadowExpire": "-1"}, 0},
		{map[string]string{"shadowExpire": fmt.Sprint(now.Unix()/86400 + 1)}, 0},
		{map[string]string{"shadowExpire": fmt.Sprint(now.Unix() / 86400)}, authn.UserExpired},
		{map[string]string{"shadowExpire": "soon"}, unreadable},
		{map[string]string{"shadowLastChange": "0"}, authn.PasswordMustChange},
		{map[string]string{"shadowLastChange": "19000"}, 0},
		{map[string]string{"shadowLastChange": "-"}, unreadable},
	} {
		values := map[string][]string{}
		for k, v := range c.attrs {
			values[k] = []string{v}
		}
		got, err := barred(ldap.NewEntry("uid=x", values), now)
		if err != nil {
			got = unreadable
		}
		if got != c.want {
			t.Errorf("%v: %v, want %v", c.attrs, got, c.want)
		}
	}
}

// adText is what Active Directory says to a bind with a sub-code.
func adText(code string) string {
	return "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data " + code + ", v1db1"
}

func TestBindAnswer(t *testing.T) {
	fails := func(code uint16, text string) error { return ldap.NewError(code, errors.New(text)) }
	control := func(oid, value string) []byte {
		b := appendText(nil, tagOctets, oid)
		if value != "" {
			b = appendText(b, tagOctets, value)
		}
		return enclose(b, 0, tagSequence)
	}
	policy := func(code int8) []byte {
		if code < 0 {
			return control(ldap.ControlTypeBeheraPasswordPolicy, "\x30\x00")
		}
		return control(ldap.ControlTypeBeheraPasswordPolicy, "\x30\x03\x81\x01"+string(rune(code)))
	}
	warns := func(warning string) []byte {
		return control(ldap.ControlTypeBeheraPasswordPolicy, "\x30\x05\xa0\x03"+warning)
	}
	mustChange := control(ldap.ControlTypeVChuPasswordMustChange, "0")
	wrong := authn.BindResult{}
	barredBy := func(r authn.Reason) authn.BindResult { return authn.BindResult{Barred: r} }
	for _, c := range []struct {
		name   string
		res    []byte // controls
		err    error
		want   authn.BindResult
		outage bool
	}{
		{"right", policy(-1), nil, authn.BindResult{OK: true}, false},
		{"right, no control", nil, nil, authn.BindResult{OK: true}, false},
		{"right, expires soon", warns("\x80\x01\x3c"), nil, authn.BindResult{OK: true}, false},
		{"right, two more graces", warns("\x81\x01\x02"), nil, authn.BindResult{OK: true}, false},
		{"right, must change", policy(2), nil, barredBy(authn.PasswordMustChange), false},
		{"right, must change, 389", mustChange, nil, barredBy(authn.PasswordMustChange), false},
		{"right, locked", policy(1), nil, barredBy(authn.UserLocked), false},
		{"wrong", policy(-1), fails(49, ""), wrong, false},
		{"wrong, nothing decoded", nil, fails(49, ""), wrong, false},
		{"locked", policy(1), fails(49, ""), barredBy(authn.UserLocked), false},
		{"expired", policy(0), fails(49, ""), barredBy(authn.PasswordExpired), false},
		{"AD wrong", nil, fails(49, adText("52e")), wrong, false},
		{"AD no user", nil, fails(49, adText("525")), wrong, false},
		{"AD hours", nil, fails(49, adText("530")), barredBy(authn.UserHours), false},
		{"AD workstation", nil, fails(49, adText("531")), barredBy(authn.UserWorkstation), false},
		{"AD password expired", nil, fails(49, adText("532")), barredBy(authn.PasswordExpired), false},
		{"AD disabled", nil, fails(49, adText("533")), barredBy(authn.UserDisabled), false},
		{"AD expired", nil, fails(49, adText("701")), barredBy(authn.UserExpired), false},
		{"AD must change", nil, fails(49, adText("773")), barredBy(authn.PasswordMustChange), false},
		{"AD locked", nil, fails(49, adText("775")), barredBy(authn.UserLocked), false},
		{"entry gone", nil, fails(32, ""), wrong, false},
		{"no password", nil, fails(48, ""), wrong, false},
		{"389 locked", nil, fails(19, "Exceed password retry limit."), barredBy(authn.UserLocked), false},
		{"389 disabled", nil, fails(53, "Account inactivated. Contact system administrator."), barredBy(authn.UserDisabled), false},
		{"unwilling", nil, fails(53, "unauthenticated bind (DN with no password) disallowed"), wrong, true},
		{"encryption wanted", nil, fails(8, "Transport encryption required."), wrong, true},
		{"confidentiality", nil, fails(13, ""), wrong, true},
		{"busy", nil, fails(51, ""), wrong, true},
		{"unavailable", nil, fails(52, ""), wrong, true},
		{"referral", nil, fails(10, ""), wrong, true},
		{"other", nil, fails(80, ""), wrong, true},
		{"network", nil, fails(ldap.ErrorNetwork, adText("775")), wrong, true},
		{"not of LDAP", nil, errors.New("connection reset"), wrong, true},
	} {
		said, err := policyReason(c.res)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got, err := bindAnswer(said, c.err)
		if got != c.want || (err != nil) != c.outage {
			t.Errorf("%s: %+v %v, want %+v, outage %v", c.name, got, err, c.want, c.outage)
		}
	}
}

func FuzzADReason(f *testing.F) {
	for _, s := range []string{adText("52e"), adText("775"), adText(""), adText("fffffffff"), "data 775", adText("775") + adText("533"),
		"AcceptSecurityContext error, data ", "AcceptSecurityContext error, data 0x775,", "AcceptSecurityContext error, data +775,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		switch r := adReason(text); r {
		case 0, authn.UserDisabled, authn.UserLocked, authn.UserExpired, authn.PasswordExpired, authn.PasswordMustChange, authn.UserHours, authn.UserWorkstation:
		default:
			t.Fatalf("%q: %v", text, r)
		}
	})
}
