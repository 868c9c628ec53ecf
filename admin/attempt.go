package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// Told is a past event in sentences.
type Told struct {
	Event  Event    `json:"event"`
	Told   []string `json:"told" doc:"a sentence each: who and where, what was typed (its kind, never itself), what decided, how long it took, what changed, what helps"`
	ToldJA []string `json:"told_ja"`
	Fix    string   `json:"fix,omitempty" doc:"the command that helps, where there is one"`
}

func (s *Server) attemptRoute(api huma.API) {
	huma.Get(api, "/api/v1/logins/{seq}", s.tellEvent)
}

func (s *Server) tellEvent(ctx context.Context, in *struct {
	Seq uint64 `path:"seq" minimum:"1" maximum:"9007199254740991" doc:"number of the event, as listings show it"`
}) (*struct{ Body Told }, error) {
	found, err := s.Store.Logins(ctx, LoginQuery{Before: in.Seq + 1, Acts: true, Limit: 1})
	if err != nil {
		return nil, s.problem(err)
	}
	missing := newProblem(http.StatusNotFound, "unknown-event", fmt.Sprintf(wordNoSuchEvent, in.Seq))
	if len(found) == 0 || found[0].Seq != in.Seq {
		return nil, missing
	}
	e := &found[0]
	if !PrincipalOf(ctx).Scope.All() && (e.Account == 0 || !s.newScope(ctx).covers(e.Account)) {
		return nil, missing
	}
	if p := s.allow(ctx, operator.ReadTokens, operator.Target{}); p != nil {
		return nil, p
	}
	n := &narrator{s: s, e: e, user: authn.Shown(e.Personal.Name)}
	if a, err := s.Store.Account(e.Account); err == nil {
		n.user = authn.Shown([]byte(a.Name))
	} else if !errors.Is(err, authn.ErrNotFound) {
		return nil, s.problem(err)
	}
	n.tell()
	return &struct{ Body Told }{Told{viewEvent(e), n.english, n.japanese, n.fix}}, nil
}

// narrator tells one event.
type narrator struct {
	s                 *Server
	e                 *authn.Event
	user              string
	english, japanese []string
	fix               string
}

// say adds a sentence; both texts take the same values.
func (n *narrator) say(english, japanese string, a ...any) {
	n.english, n.japanese = append(n.english, fmt.Sprintf(english, a...)), append(n.japanese, fmt.Sprintf(japanese, a...))
}

func (n *narrator) tell() {
	e := n.e
	at := e.At.In(n.s.zone()).Format("2006-01-02 15:04:05 -07:00")
	if e.Kind == authn.ActEvent {
		n.say("%s: %s did %s: %s.", "%s: %s による操作 %s: %s。", at, quoted(e.Actor), e.Act, e.Detail)
		return
	}
	n.where(at)
	n.say("The gateway sent it as %s; what was typed is not kept.", "認証方式は %s です。入力された内容は記録していません。", e.Method)
	if name := authn.Shown(e.Personal.Name); name != "" && name != n.user {
		n.say("The name was typed as %s.", "利用者名は %s と入力されました。", quoted(name))
	}
	if e.Policy != "" {
		n.say("Policy %s held.", "ポリシー %s を適用しました。", e.Policy)
	}
	n.english = append(n.english, fmt.Sprintf("Answer: %v, by row %d of the login table (%s): %s", e.Verdict, e.Row, e.Reason, e.Reason.Sentence()))
	n.japanese = append(n.japanese, fmt.Sprintf("応答: %v (判定表の行 %d、%s): %s", e.Verdict, e.Row, e.Reason, e.Reason.Japanese()))
	if e.Detail != "" {
		n.say("Reply attributes, or what kept it from being accepted: %s.", "応答属性、または拒否の原因: %s。", e.Detail)
	}
	if e.Count > 1 {
		n.say("This line stands for %d attempts.", "この行は %d 回の試みをまとめたものです。", e.Count)
	}
	n.times()
	n.changes()
	n.helps()
}

func (n *narrator) where(at string) {
	user, client := n.user, n.e.Client
	if user == "" {
		user = "-"
	}
	place, placeJA := "an unknown place", "不明な場所"
	if station := authn.Shown(n.e.Personal.Station); station != "" {
		place, placeJA = station+", a new place", station+"(初めての場所)"
		if n.e.Class == authn.ClassKnown {
			place, placeJA = station+", a known place", station+"(使ったことのある場所)"
		}
	}
	n.english = append(n.english, fmt.Sprintf("%s: %s tried to log in at gateway %s from %s.", at, user, client, place))
	n.japanese = append(n.japanese, fmt.Sprintf("%s: 利用者 %s がVPN装置 %s に、%sから接続しました。", at, user, client, placeJA))
}

func (n *narrator) times() {
	var parts, japan []string
	for _, st := range []struct {
		d           time.Duration
		english, ja string
	}{
		{n.e.Stages.Lookup, "search in the directory", "ディレクトリの検索"}, {n.e.Stages.Bind, "password check", "パスワードの確認"},
		{n.e.Stages.Lock, "waiting for its turn", "順番待ち"}, {n.e.Stages.Total, "all in all", "全体"},
	} {
		if st.d > 0 {
			ms := fmt.Sprintf("%.1f ms", float64(st.d)/float64(time.Millisecond))
			parts, japan = append(parts, st.english+" "+ms), append(japan, st.ja+" "+ms)
		}
	}
	if parts != nil {
		n.english = append(n.english, "Time: "+strings.Join(parts, ", ")+".")
		n.japanese = append(n.japanese, "所要時間: "+strings.Join(japan, "、")+"。")
	}
}

// changes tells what the login changed.
func (n *narrator) changes() {
	e := n.e
	for _, b := range e.Burnt {
		name := n.token(b.Token)
		n.say("Token %s: step %d and all before it are used.", "トークン %s: 番号 %d まで使用済みになりました。", name, b.Last)
		if b.Activated {
			n.say("Token %s is registered with it.", "トークン %s の利用を開始しました。", name)
		}
	}
	if !e.GuardSet {
		if len(e.Burnt) == 0 {
			n.say("Nothing was changed.", "何も変更していません。")
		}
		return
	}
	class := e.Class & 1
	switch g := &e.Guard; {
	case g.Row[class] > 0:
		n.say("Misses in a row from such places: %d.", "同種の場所からの連続失敗: %d 回。", g.Row[class])
	case e.Verdict == authn.Accept:
		n.say("No misses are left from such places.", "同種の場所からの連続失敗は 0 回に戻りました。")
	}
	if wait := e.Guard.Wait[class]; wait > e.At.Unix() {
		n.say("Single codes from such places wait until %s.", "同種の場所からの番号は %s まで確認しません。", time.Unix(wait, 0).In(n.s.zone()).Format("15:04:05"))
	}
	if e.Guard.Stopped != 0 {
		n.say("Logins are stopped in part; 'user show' tells which.", "一部の認証を停止しています。'user show' で確認できます。")
	}
	for _, notice := range e.Notices {
		n.say("A notice was sent: %s.", "通知を送りました: %s。", notice)
	}
}

func (n *narrator) token(id token.ID) string {
	if info, err := n.s.Store.Token(id); err == nil {
		return label(&info.Token)
	}
	return id.String()
}

// help is what ends a refusal.
type help struct{ english, japanese, command string }

// helps is what to do about a reason; USER and TOKEN stand for those of the event. Reasons that say it themselves are not here.
var helps = map[authn.Reason]help{
	authn.UnknownUser:         {"Check how the name is read.", "利用者名の読み方を確認してください。", "sekisho user show --as NAME --client CLIENT"},
	authn.UserDisabled:        {"Enable the user in the directory.", "ディレクトリで利用者を有効にしてください。", ""},
	authn.UserLocked:          {"Unlock the user in the directory, or wait until it does.", "ディレクトリのロックを解除するか、解除されるまで待ってください。", ""},
	authn.PasswordExpired:     {"The user changes the password in the directory.", "ディレクトリでパスワードを変更してもらってください。", ""},
	authn.PasswordMustChange:  {"The user changes the password in the directory.", "ディレクトリでパスワードを変更してもらってください。", ""},
	authn.NoPolicy:            {"Add a policy for this user and gateway.", "この利用者とVPN装置のポリシーを追加してください。", "sekisho explain USER --client CLIENT"},
	authn.DeniedByPolicy:      {"Look at the policy that denies.", "拒否しているポリシーを確認してください。", "sekisho explain USER --client CLIENT"},
	authn.MustWait:            {"Wait, or end the wait.", "待つか、待ち時間を終了してください。", "sekisho user unlock USER"},
	authn.AccountStopped:      {"Ask the user whether it was them; then end the stop.", "本人に確認してから、停止を解除してください。", "sekisho user unlock USER"},
	authn.PairBudget:          {"End the stop once the user was asked.", "本人に確認してから、停止を解除してください。", "sekisho user unlock USER"},
	authn.WrongPassword:       {"The user checks the password.", "パスワードを確認してもらってください。", ""},
	authn.WrongPIN:            {"The user checks the PIN, or gets a new one.", "PINコードを確認するか、新しくしてもらってください。", "sekisho user reset-pin USER"},
	authn.WrongCode:           {"The token may be out of step: follow it by two codes in a row.", "トークンの時刻や回数がずれている可能性があります。連続する2つの番号でずれを直してください。", "sekisho token resync TOKEN CODE1 CODE2"},
	authn.WrongFirstRightCode: {"Ask the user; if it was not them, the token is in other hands.", "本人に確認し、心当たりがなければトークンの紛失として扱ってください。", "sekisho token lost TOKEN"},
	authn.AlreadyUsed:         {"The user waits for the next code.", "次の番号を待って入力してもらってください。", ""},
	authn.SecondMissed:        {"The user types two codes in a row, or the failures are ended.", "連続する2つの番号を入力するか、失敗の記録を終了してください。", "sekisho user unlock USER"},
	authn.TokenExpired:        {"The user registers a new token.", "新しいトークンを登録してもらってください。", "sekisho user invite USER"},
	authn.TokenSuspended:      {"End the suspension.", "停止を解除してください。", "sekisho token resume TOKEN"},
	authn.TokenRevoked:        {"Undo the revocation, or let the user register again.", "失効を元に戻すか、もう一度登録してもらってください。", "sekisho user undo USER"},
	authn.TokenPending:        {"The user registers the token with a code of it.", "トークンの番号で利用開始登録をしてもらってください。", "sekisho token confirm TOKEN CODE"},
	authn.NoToken:             {"Invite the user to register a token.", "トークンの登録を案内してください。", "sekisho user invite USER"},
	authn.NoPIN:               {"The user chooses a PIN.", "PINコードを設定してもらってください。", "sekisho user set-pin USER"},
	authn.MethodNotTaken:      {"Set the gateway to PAP.", "VPN装置の認証方式をPAPにしてください。", "sekisho client show CLIENT"},
	authn.DirectoryDown:       {"Look whether the directory answers.", "ディレクトリが応答するか確認してください。", "sekisho test ldap"},
	authn.ClockDoubt:          {"Compare the clock with another one.", "時計を確認してください。", "sekisho clock accept"},
	authn.ReplyMissing:        {"Set the attribute in the directory, or change the rule.", "ディレクトリの属性または応答の規則を修正してください。", "sekisho explain USER --client CLIENT"},
	authn.BindBudget:          {"Wait half an hour.", "30分待ってください。", ""},
}

func (n *narrator) helps() {
	h, ok := helps[n.e.Reason]
	if !ok {
		return
	}
	n.english, n.japanese = append(n.english, h.english), append(n.japanese, h.japanese)
	if h.command == "" {
		return
	}
	name := "TOKEN"
	if n.e.Token != 0 {
		name = n.token(n.e.Token)
	}
	user := n.user
	if user == "" {
		user = "USER"
	}
	values := map[string]string{"USER": user, "TOKEN": name, "CLIENT": n.e.Client, "NAME": authn.Shown(n.e.Personal.Name)}
	fields := strings.Split(h.command, " ")
	for i, f := range fields {
		if value, ok := values[f]; ok {
			fields[i] = plain(value)
		}
	}
	n.fix = strings.Join(fields, " ")
}

// plain is a value of a command, quoted as shells want it where it is more than letters and digits.
func plain(value string) string {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@._-", r)
	}) {
		return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
	}
	return value
}
