package authn

import (
	"strings"
	"testing"
)

func TestTell(t *testing.T) {
	const page = "https://otp.example.com/"
	for _, c := range []struct {
		tell Tell
		lang Language
		why  Reason
		want string
	}{
		{Tell{}, BothLanguages, TokenExpired, "トークンの有効期限が切れました。新しいトークンを登録してください / Token expired, register the new one"},
		{Tell{RegisterURL: page}, BothLanguages, TokenExpired,
			"トークンの有効期限が切れました。新しいトークンを登録してください: https://otp.example.com/ / Token expired, register the new one"},
		{Tell{RegisterURL: page}, Japanese, TokenPending, "トークンの利用開始登録が済んでいません: https://otp.example.com/"},
		{Tell{RegisterURL: page}, English, TokenExpired, "Token expired, register the new one: https://otp.example.com/"},
		{Tell{RegisterURL: page}, English, TokenSuspended, "Token suspended, contact the help desk"},
		{Tell{Silent: true, RegisterURL: page}, BothLanguages, TokenExpired, ""},
		{Tell{}, BothLanguages, WrongCode, ""},
		{Tell{}, BothLanguages, NoToken, ""},
	} {
		if got := c.tell.message(c.why, c.lang); got != c.want {
			t.Errorf("%+v, language %d, %v: %q, want %q", c.tell, c.lang, c.why, got, c.want)
		}
	}
	// Every reason of a token that cannot open has words, and the longest page that passes the check fits.
	for _, why := range []Reason{TokenExpired, TokenNotStarted, TokenSuspended, TokenRevoked, TokenPending} {
		if told[why].ja == "" || told[why].en == "" {
			t.Errorf("%v has no words", why)
		}
	}
	long := page
	for (Tell{RegisterURL: long + "x"}).Check() == nil {
		long += "x"
	}
	if n := len(Tell{RegisterURL: long}.message(TokenExpired, BothLanguages)); n != MaxMessage || len(long) < 90 {
		t.Errorf("a page of %d octets makes a message of %d", len(long), n)
	}
	err := Tell{RegisterURL: long + "xx"}.Check()
	if err == nil || !strings.Contains(err.Error(), "2 octets shorter") {
		t.Errorf("two octets too long: %v", err)
	}
}
