package directory

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// stateAttributes tell whether an account may be used. No server has all of them; what is missing bars nobody.
var stateAttributes = []string{
	"pwdAccountLockedTime", "pwdReset", // draft-behera-ldap-password-policy-10 section 5.3
	"nsAccountLock",                    // 389 Directory Server, FreeIPA
	"shadowExpire", "shadowLastChange", // RFC 2307
	"userAccountControl", "msDS-User-Account-Control-Computed", "accountExpires", "pwdLastSet", // Active Directory
}

// lockedForGood is the value of pwdAccountLockedTime that only an administrator ends.
const lockedForGood = "000001010000Z"

// Bits of userAccountControl and msDS-User-Account-Control-Computed (MS-ADTS section 2.2.16).
const (
	uacDisabled        = 0x2
	uacLockout         = 0x10
	uacNeverExpires    = 0x10000
	uacPasswordExpired = 0x800000
)

// barred tells from an entry why its owner may not in, or zero. A value that cannot be read is an error: taking it for
// "may" would open the door.
//
// A lock with an end (pwdAccountLockedTime with a date) does not count here, because only the server knows when it ends
// and lifts it at a bind; refusing before the bind would make it last for ever. Nor does lockoutTime of Active Directory,
// which stays behind when the lock is over: msDS-User-Account-Control-Computed says whether it is on.
func barred(e *ldap.Entry, now time.Time) (authn.Reason, error) {
	uac, err := number(e, "userAccountControl")
	if err != nil {
		return 0, err
	}
	computed, err := number(e, "msDS-User-Account-Control-Computed")
	if err != nil {
		return 0, err
	}
	expires, err := number(e, "accountExpires")
	if err != nil {
		return 0, err
	}
	shadow, err := number(e, "shadowExpire")
	if err != nil {
		return 0, err
	}
	shadowChange, err := numberOr(e, "shadowLastChange", -1)
	if err != nil {
		return 0, err
	}
	lastSet, err := numberOr(e, "pwdLastSet", -1)
	if err != nil {
		return 0, err
	}
	switch {
	case uac&uacDisabled != 0, strings.EqualFold(value(e, "nsAccountLock"), "true"):
		return authn.UserDisabled, nil
	case value(e, "pwdAccountLockedTime") == lockedForGood, (uac|computed)&uacLockout != 0:
		return authn.UserLocked, nil
	case expires > 0 && !now.Before(fileTime(expires)), shadow > 0 && now.Unix()/86400 >= shadow:
		return authn.UserExpired, nil
	case lastSet == 0 && uac&uacNeverExpires == 0, shadowChange == 0, strings.EqualFold(value(e, "pwdReset"), "true"):
		return authn.PasswordMustChange, nil
	case computed&uacPasswordExpired != 0:
		return authn.PasswordExpired, nil
	}
	return 0, nil
}

// fileTime turns 100 ns since 1601 into a time. The values that mean "never" lie some 30,000 years ahead.
func fileTime(ticks int64) time.Time {
	const perSecond, to1970 = 10_000_000, 11_644_473_600
	return time.Unix(ticks/perSecond-to1970, ticks%perSecond*100)
}

func value(e *ldap.Entry, attr string) string { return e.GetEqualFoldAttributeValue(attr) }

func number(e *ldap.Entry, attr string) (int64, error) { return numberOr(e, attr, 0) }

func numberOr(e *ldap.Entry, attr string, absent int64) (int64, error) {
	v := value(e, attr)
	if v == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s of the entry is not a number", attr)
	}
	return n, nil
}

// bindAnswer reads the answer to a bind; said is what the password policy said. Result codes that say something about user
// or password are answers; all others, and every failure of the exchange, are errors.
func bindAnswer(said authn.Reason, err error) (authn.BindResult, error) {
	if err == nil {
		// A success that comes with "must change first" (draft-behera 8.1) opens nothing: no VPN gateway can change it.
		return authn.BindResult{OK: said == 0, Barred: said}, nil
	}
	var result *ldap.Error
	if !errors.As(err, &result) {
		return authn.BindResult{}, err
	}
	text := ""
	if result.Err != nil {
		text = result.Err.Error()
	}
	switch result.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		if said == 0 {
			said = adReason(text)
		}
		return authn.BindResult{Barred: said}, nil
	case ldap.LDAPResultNoSuchObject, ldap.LDAPResultInappropriateAuthentication:
		return authn.BindResult{}, nil // the entry went away since the look-up, or has no password
	case ldap.LDAPResultConstraintViolation: // 389 Directory Server: too many wrong passwords
		return authn.BindResult{Barred: authn.UserLocked}, nil
	case ldap.LDAPResultUnwillingToPerform: // 389 Directory Server: "Account inactivated"
		if strings.Contains(strings.ToLower(text), "account inactivated") {
			return authn.BindResult{Barred: authn.UserDisabled}, nil
		}
	}
	return authn.BindResult{}, err
}

// policyReason reads the controls of a bind's answer: the password policy's (draft-behera-ldap-password-policy-10 section
// 6.2) and the older one of 389 Directory Server (draft-vchu-ldap-pwd-policy-00). Zero: they bar nobody.
func policyReason(controls []byte) (authn.Reason, error) {
	if len(controls) == 0 {
		return 0, nil
	}
	value, found, err := control(controls, ldap.ControlTypeBeheraPasswordPolicy)
	if err != nil {
		return 0, err
	}
	if found && len(value) > 0 {
		fields, _, err := expect(value, tagSequence)
		if err != nil {
			return 0, err
		}
		for len(fields) > 0 {
			tag, body, rest, err := element(fields)
			if err != nil {
				return 0, err
			}
			fields = rest
			if tag != tagPolicyError {
				continue
			}
			code, err := integer(body)
			if err != nil {
				return 0, err
			}
			switch code {
			case 0: // passwordExpired
				return authn.PasswordExpired, nil
			case 1: // accountLocked
				return authn.UserLocked, nil
			case 2: // changeAfterReset
				return authn.PasswordMustChange, nil
			}
		}
	}
	if _, found, err := control(controls, ldap.ControlTypeVChuPasswordMustChange); err != nil || found {
		return authn.PasswordMustChange, err
	}
	return 0, nil
}

// adReason reads the sub-code of Active Directory's text "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext
// error, data 52e, v1db1": a Windows error number in hexadecimal. Zero means a wrong password, or that nothing more is said.
func adReason(text string) authn.Reason {
	_, rest, found := strings.Cut(text, "AcceptSecurityContext error, data ")
	if !found {
		return 0
	}
	digits, _, _ := strings.Cut(rest, ",")
	code, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 32)
	if err != nil {
		return 0
	}
	switch code {
	case 0x530: // ERROR_INVALID_LOGON_HOURS
		return authn.UserHours
	case 0x531: // ERROR_INVALID_WORKSTATION
		return authn.UserWorkstation
	case 0x532: // ERROR_PASSWORD_EXPIRED
		return authn.PasswordExpired
	case 0x533: // ERROR_ACCOUNT_DISABLED
		return authn.UserDisabled
	case 0x701: // ERROR_ACCOUNT_EXPIRED
		return authn.UserExpired
	case 0x773: // ERROR_PASSWORD_MUST_CHANGE
		return authn.PasswordMustChange
	case 0x775: // ERROR_ACCOUNT_LOCKED_OUT
		return authn.UserLocked
	}
	return 0 // 52e ERROR_LOGON_FAILURE, 525 ERROR_NO_SUCH_USER
}
