package authn

import "fmt"

// Verdict is what a gateway is told.
type Verdict uint8

// The verdicts. Discard sends nothing, so that the gateway tries its next server: it stands for every outage.
const (
	Discard Verdict = iota
	Accept
	Reject
	Challenge
)

// String gives the word that logs, metrics and listings use.
func (v Verdict) String() string {
	switch v {
	case Discard:
		return "discard"
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	case Challenge:
		return "challenge"
	}
	return fmt.Sprintf("verdict %d", v)
}

// Reason says why an attempt ended as it did. The numbers are written into the audit chain: append, never renumber.
type Reason uint8

// The reasons, in the order in which they were introduced.
const (
	_ Reason = iota
	OK
	OKSecondCode
	OKExempt
	OKPending
	AskCode
	AskCodeAgain
	AskSecondCode
	RepeatedText
	UnknownUser
	AmbiguousUser
	UserDisabled
	UserLocked
	UserExpired
	PasswordExpired
	DeniedByPolicy
	NoPolicy
	SourceLimit
	MustWait
	AccountStopped
	PairBudget
	BindBudget
	EmptyPassword
	WrongPassword
	WrongPIN
	WrongCode
	WrongFirstRightCode
	WrongBoth
	AlreadyUsed
	FirstOfTwo
	SecondMissed
	TokenExpired
	TokenNotStarted
	TokenSuspended
	TokenRevoked
	TokenPending
	NoToken
	NoPIN
	BadState
	SpentState
	MethodNotTaken
	DirectoryDown
	StoreDown
	ClockDoubt
	Overloaded
	TooLate
	Fault
	ReplyMissing
	OKUnenrolled
	PasswordMustChange
	UserHours
	UserWorkstation
	OKRepeated
	OKAlone
	OKTemporary
	OKFirstLogin
	reasonEnd
)

// reasonText is one line of the catalogue. It serves RADIUS, log, metrics, API, audit and pages.
type reasonText struct {
	code string // stable, for machines: label, API, search
	en   string // one sentence that tells an operator what happened
	ja   string
}

var reasons = [reasonEnd]reasonText{
	OK:                  {"ok", "First factor and code were right.", "パスワードなどとワンタイムパスワードが正しく、認証に成功しました。"},
	OKSecondCode:        {"ok-second-code", "Accepted with two codes in a row, because earlier failures had used up the single-code allowance.", "失敗が続いていたため、連続する2つの番号を確認して認証に成功しました。"},
	OKExempt:            {"ok-exempt", "The user belongs to a group that needs no code; the first factor was right.", "ワンタイムパスワードが不要なグループの利用者です。パスワードが正しく、認証に成功しました。"},
	OKPending:           {"ok-activated", "First factor and code were right; the code activated a new token.", "認証に成功し、新しいトークンの利用を開始しました。"},
	AskCode:             {"ask-code", "The user was asked for a code.", "ワンタイムパスワードの入力を求めました。"},
	AskCodeAgain:        {"ask-code-again", "The code was not accepted and the user was asked for another one.", "番号が受け付けられず、新しい番号の入力を求めました。"},
	AskSecondCode:       {"ask-second-code", "The code was right, but after many failures a second one is needed; the user was asked for the next code.", "番号は正しいものの、失敗が続いていたため次の番号の入力を求めました。"},
	RepeatedText:        {"repeated", "The same refused text came again within 30 seconds and was not evaluated.", "拒否した入力が30秒以内に再び送られたため、確認せずに拒否しました。"},
	UnknownUser:         {"unknown-user", "The directory knows no such user.", "この利用者はディレクトリに存在しません。"},
	AmbiguousUser:       {"ambiguous-user", "The name fits more than one entry of the directory, so it names nobody.", "この名前に当てはまる利用者が複数あるため、特定できません。"},
	UserDisabled:        {"user-disabled", "The user is disabled in the directory.", "この利用者はディレクトリで無効にされています。"},
	UserLocked:          {"user-locked", "The user is locked in the directory.", "この利用者はディレクトリでロックされています。"},
	UserExpired:         {"user-expired", "The user's account in the directory has expired.", "この利用者のアカウントは有効期限が切れています。"},
	PasswordExpired:     {"password-expired", "The user's password in the directory has expired.", "この利用者のパスワードは期限切れです。"},
	DeniedByPolicy:      {"denied", "Policy denies this user at this gateway.", "この利用者はこのVPN装置の利用を認められていません。"},
	NoPolicy:            {"no-policy", "No policy covers this user at this gateway.", "この利用者とVPN装置に当てはまるポリシーがありません。"},
	SourceLimit:         {"source-limit", "More than 5 failures in a minute for this user from this new address; nothing was checked.", "この利用者について、同じ新しい接続元から1分間に5回を超える失敗があったため、確認せずに拒否しました。"},
	MustWait:            {"must-wait", "Several wrong codes in a row; the next one is looked at after a short wait (30 seconds, doubling up to an hour).", "番号の誤りが続いたため、しばらく(30秒から最長1時間)待ってから再試行してください。"},
	AccountStopped:      {"account-stopped", "The account was stopped after right codes with wrong first factors; an operator or a new registration ends it.", "番号は正しいのにパスワードなどが違う試みが続いたため、アカウントを停止しています。解除には窓口での操作か再登録が必要です。"},
	PairBudget:          {"pair-budget", "Too many guesses against this account this year; even two codes in a row are not checked any more.", "このアカウントへの推測が年間の上限に達したため、確認できません。"},
	BindBudget:          {"bind-budget", "The directory was not asked, because more wrong passwords could lock the user there; try again in 30 minutes.", "ディレクトリ側のロックを避けるため、パスワードを確認しませんでした。30分後に再試行してください。"},
	EmptyPassword:       {"empty-password", "The password was empty after the code was cut off; empty passwords are never sent to a directory.", "パスワードが空のため、ディレクトリに問い合わせずに拒否しました。"},
	WrongPassword:       {"wrong-password", "The directory refused the password.", "パスワードが違います。"},
	WrongPIN:            {"wrong-pin", "The PIN was wrong.", "PINコードが違います。"},
	WrongCode:           {"wrong-code", "The first factor was right, the code was not one of the user's tokens.", "パスワードなどは正しく、ワンタイムパスワードが違います。"},
	WrongFirstRightCode: {"wrong-first-right-code", "The code was right but the password or PIN was wrong; this can mean a stolen token.", "ワンタイムパスワードは正しく、パスワードまたはPINコードが違います。トークンの盗難の可能性があります。"},
	WrongBoth:           {"wrong-both", "Neither the first factor nor the code was right.", "パスワードなども、ワンタイムパスワードも違います。"},
	AlreadyUsed:         {"already-used", "The code was right but has been used before; wait for the next one.", "この番号はすでに使われています。次の番号を待って入力してください。"},
	FirstOfTwo:          {"first-of-two", "The code was right; after many failures the next code is needed too: connect again with it.", "番号は正しいものの、失敗が続いていたため、次の番号でもう一度接続する必要があります。"},
	SecondMissed:        {"second-missed", "Earlier failures ask for two codes in a row, and this code did not fit.", "連続する2つの番号が必要な状態で、番号が一致しませんでした。"},
	TokenExpired:        {"token-expired", "First factor and code were right, but the token has expired.", "番号は正しいものの、トークンの有効期限が切れています。"},
	TokenNotStarted:     {"token-not-started", "First factor and code were right, but the token's period of use has not begun.", "番号は正しいものの、トークンの利用開始日前です。"},
	TokenSuspended:      {"token-suspended", "First factor and code were right, but the token is suspended.", "番号は正しいものの、トークンは一時停止中です。"},
	TokenRevoked:        {"token-revoked", "First factor and code were right, but the token has been revoked.", "番号は正しいものの、トークンは失効しています。"},
	TokenPending:        {"token-pending", "First factor and code were right, but the token has not been registered yet.", "番号は正しいものの、トークンの利用開始登録が済んでいません。"},
	NoToken:             {"no-token", "The first factor was right, but the user has no token.", "パスワードなどは正しいものの、トークンが登録されていません。"},
	NoPIN:               {"no-pin", "The policy asks for a PIN and this account has none.", "PINコードが必要ですが、設定されていません。"},
	BadState:            {"bad-state", "The State of the answer was forged, expired, or belongs to another user, gateway or station.", "確認の途中の状態(State)が正しくないか、期限切れです。"},
	SpentState:          {"spent-state", "The State of the answer was used before.", "確認の途中の状態(State)はすでに使われています。"},
	MethodNotTaken:      {"method-not-taken", "The gateway used an authentication method that is not taken here; set it to PAP.", "VPN装置の認証方式に対応していません。PAPに設定してください。"},
	DirectoryDown:       {"directory-down", "The directory did not answer in time or answered wrongly; the gateway gets no answer and tries its next server.", "ディレクトリが時間内に応答しないか、応答が異常です。VPN装置には応答しません。"},
	StoreDown:           {"store-down", "The database could not record the attempt, so there is no answer.", "データベースに記録できないため、応答しませんでした。"},
	ClockDoubt:          {"clock-doubt", "The clock jumped without confirmation; time-based codes wait for 'sekisho clock accept' or a confirmed time.", "時計が確認のないまま大きく動いたため、時刻式の番号の確認を保留しています。"},
	Overloaded:          {"overloaded", "Too many attempts are being worked on; this one got no answer.", "処理が集中しているため、応答しませんでした。"},
	TooLate:             {"too-late", "The attempt could not be finished before the gateway gives up, so nothing was used and nothing answered.", "VPN装置の待ち時間内に処理できないため、何も使わず、応答しませんでした。"},
	OKUnenrolled:        {"ok-unenrolled", "The user never had a token, and the policy lets such users in with the first factor alone until a date.", "トークンが未登録の利用者です。ポリシーの期限までの間、パスワードなどだけで認証に成功しました。"},
	OKRepeated:          {"ok-repeat", "The gateway brought a login again that had just been accepted; the answer was repeated and nothing used again.", "直前に成功した認証がVPN装置から再び送られたため、同じ応答を返しました。番号は再使用していません。"},
	OKAlone:             {"ok-password", "The password was right, on a page that asks for more before it opens anything.", "パスワードが正しいことを確認しました。この画面では、続けて別の確認を行います。"},
	OKTemporary:         {"ok-temporary", "The first factor was right and a temporary code opened in place of a token; it is used now.", "一時利用の番号で認証に成功しました。この番号は使用済みです。"},
	OKFirstLogin:        {"ok-first-login", "The first factor was right and the code for a first login opened; it is used now.", "初回接続用の番号で認証に成功しました。この番号は使用済みです。"},
	Fault:               {"fault", "An internal fault ended the attempt; the log has the details.", "内部エラーのため処理を中止しました。詳細はログにあります。"},
	ReplyMissing:        {"reply-missing", "A reply attribute that this user needs is missing or wrong in the directory; the log names it. Nothing was checked.", "この利用者に必要な応答属性がディレクトリにないか、正しくありません。詳細はログにあります。"},
	PasswordMustChange:  {"password-must-change", "The user has to change the password in the directory before it opens anything.", "この利用者は、ディレクトリのパスワードを変更するまで利用できません。"},
	UserHours:           {"user-hours", "The directory lets this user in at other hours only.", "この利用者は、ディレクトリで許可された時間帯ではありません。"},
	UserWorkstation:     {"user-workstation", "The directory lets this user in from named computers only, and this service is none of them.", "この利用者は、ディレクトリで指定されたコンピューター以外からは利用できません。"},
}

// String gives the stable code of the reason, such as "wrong-code".
func (r Reason) String() string {
	if r > 0 && r < reasonEnd {
		return reasons[r].code
	}
	return fmt.Sprintf("reason-%d", r)
}

// Sentence tells an operator in English what happened.
func (r Reason) Sentence() string {
	if r > 0 && r < reasonEnd {
		return reasons[r].en
	}
	return "Unknown reason."
}

// Japanese tells it in Japanese.
func (r Reason) Japanese() string {
	if r > 0 && r < reasonEnd {
		return reasons[r].ja
	}
	return "不明な理由です。"
}

// Reasons lists the whole catalogue, for metrics, documentation and tests.
func Reasons() []Reason {
	all := make([]Reason, 0, reasonEnd-1)
	for r := OK; r < reasonEnd; r++ {
		all = append(all, r)
	}
	return all
}
