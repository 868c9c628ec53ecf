package life

import (
	"fmt"
	"strings"
	"time"
)

// Code is the stable name of a refusal, for machines: API, search, tests. Codes are never renamed.
type Code string

// Refusal says why an act was not done. It is an answer, not a fault.
type Refusal struct {
	Code  Code
	About string    // the serial, name or number that the sentence speaks of; may be empty
	From  time.Time // from when the same act will be allowed, as far as time alone decides; zero: time does not change it
}

// Error gives the English sentence.
func (r *Refusal) Error() string { return r.English() }

// English is one sentence for people with what to do, and the instant from which the act is allowed where there is one.
func (r *Refusal) English() string {
	s := sentence(sentences[r.Code].en, r.About)
	if !r.From.IsZero() {
		s += fmt.Sprintf(" Possible from %s.", r.From.Format("2006-01-02 15:04:05 -07:00"))
	}
	return s
}

// Japanese is the same in Japanese.
func (r *Refusal) Japanese() string {
	s := sentence(sentences[r.Code].ja, r.About)
	if !r.From.IsZero() {
		s += r.From.Format("2006年1月2日 15時04分05秒") + "から行えます。"
	}
	return s
}

// sentence puts what it is about at the place that the catalogue has for it.
func sentence(text, about string) string {
	if about == "" {
		about = "-"
	}
	return strings.ReplaceAll(text, "{}", about)
}

func refuse(code Code, about string) *Refusal { return &Refusal{Code: code, About: about} }

func refuseUntil(code Code, about string, from time.Time) *Refusal {
	return &Refusal{Code: code, About: about, From: from}
}

// The codes. Those named after a state tell where the thing stands that cannot make the step.
const (
	NotAllowed    Code = "not-allowed"
	NotFound      Code = "not-found"
	SecondPerson  Code = "second-person-needed"
	ReasonNeeded  Code = "reason-needed"
	ProofNeeded   Code = "proof-needed"
	OnOperator    Code = "on-operator"
	LastMaster    Code = "last-master"
	AskFirst      Code = "ask-first"
	Braked        Code = "braked"
	NotAssigned   Code = "not-assigned"
	IsPending     Code = "is-pending"
	IsActive      Code = "already-active"
	IsSuspended   Code = "is-suspended"
	IsRevoked     Code = "is-revoked"
	NoSuchToken   Code = "no-such-token"
	TokenInStock  Code = "token-in-stock"
	TokenInUse    Code = "token-in-use"
	TokenExpired  Code = "token-expired"
	TokenGone     Code = "token-destroyed"
	NotStarted    Code = "token-not-started"
	OtherExpiry   Code = "other-expiry"
	HardwareOnly  Code = "hardware-only"
	SoftwareOnly  Code = "software-only"
	KnownSeed     Code = "known-seed"
	Cooling       Code = "cooldown"
	NoCooldown    Code = "no-cooldown"
	TooManyTokens Code = "too-many-tokens"
	DeviceLimit   Code = "device-limit"
	TriesUsed     Code = "tries-used"
	BudgetUsed    Code = "budget-used"
	WrongCode     Code = "wrong-code"
	AlreadyUsed   Code = "already-used"
	CodeForm      Code = "code-form"
	EqualCodes    Code = "equal-codes"
	OldEntry      Code = "old-entry"
	ClockOff      Code = "clock-off"
	DriftFar      Code = "drift-too-far"
	DeferUsed     Code = "defer-used"
	ByOperator    Code = "suspended-by-operator"
	TooLate       Code = "too-late"
	TooEarly      Code = "too-early"
	UndoUsed      Code = "undo-used"
	ExtendMost    Code = "extend-most"
	NoExpiry      Code = "no-expiry"
	LinkOpen      Code = "link-open"
	LinkStarted   Code = "link-started"
	LinkLapsed    Code = "link-lapsed"
	LinkRevoked   Code = "link-revoked"
	QuotaUsed     Code = "quota-used"
	StartsUsed    Code = "starts-used"
	StartElse     Code = "started-elsewhere"
	StartLapsed   Code = "start-lapsed"
	ResendUsed    Code = "resend-used"
	KindOff       Code = "kind-off"
	PledgeNeeded  Code = "pledge-needed"
	RequestOpen   Code = "request-open"
	RequestLimit  Code = "request-limit"
	RequestDone   Code = "request-decided"
	OwnRequest    Code = "own-request"
	ResetLimit    Code = "reset-limit"
	TempNone      Code = "no-temporary"
	TempEnded     Code = "temporary-ended"
	TempRunning   Code = "temporary-running"
	TempTooLong   Code = "temporary-too-long"
	HasToken      Code = "has-token"
	FirstNone     Code = "no-first-login"
	FirstEnded    Code = "first-login-ended"
	FirstOpen     Code = "first-login-open"
	NoRecovery    Code = "no-recovery-code"
	NothingLocked Code = "not-locked"
	Stopped       Code = "account-stopped"
	PINForm       Code = "pin-form"
	PINLength     Code = "pin-length"
	PINRepeated   Code = "pin-repeated"
	PINRun        Code = "pin-run"
	PINName       Code = "pin-name"
	PINHistory    Code = "pin-history"
	PINNone       Code = "pin-none"
	PINForced     Code = "pin-forced"
	UserPresent   Code = "user-present"
	Quarantined   Code = "user-quarantined"
	UserCleaned   Code = "user-cleaned"
	NoAnswer      Code = "directory-silent"
)

// sentences is the catalogue; {} stands for what the refusal is about.
var sentences = map[Code]struct{ en, ja string }{
	NotAllowed:    {"Your role may not do this; ask somebody whose role may.", "この操作を行う権限がありません。権限のある担当者に依頼してください。"},
	NotFound:      {"{} was not found; check what you typed.", "{}は見つかりません。入力を確認してください。"},
	SecondPerson:  {"This act needs a second operator; ask another one to approve it.", "この操作には2名の承認が必要です。別の担当者に承認を依頼してください。"},
	ReasonNeeded:  {"A reason is needed; say in a sentence why.", "理由の入力が必要です。理由を一文で入力してください。"},
	ProofNeeded:   {"Your password is needed first; sign in again.", "先にパスワードの確認が必要です。もう一度ログインしてください。"},
	OnOperator:    {"{} is an operator; only administrators and masters may do this to operators.", "{}は運用担当者です。この操作は管理者ユーザまたはマスターユーザだけが行えます。"},
	LastMaster:    {"This is the last working token of a master user; register another master's token first.", "使用できるマスターユーザのトークンはこれが最後です。先に別のマスターユーザのトークンを登録してください。"},
	AskFirst:      {"This changes {} users; confirm the number and send it again.", "{}名が対象です。人数を確認して、もう一度実行してください。"},
	Braked:        {"This would change {} users at once, more than usual, so nothing was done; a master has to look at it and confirm.", "一度に{}名が変更されるため、停止しました。マスターユーザが内容を確認して承認してください。"},
	NotAssigned:   {"Token {} is not assigned to this user.", "トークン{}はこの利用者に割り当てられていません。"},
	IsPending:     {"Token {} waits for its first code; confirm it first.", "トークン{}は利用開始登録待ちです。先に登録を済ませてください。"},
	IsActive:      {"Token {} is in service already.", "トークン{}はすでに利用中です。"},
	IsSuspended:   {"Token {} is suspended; resume or revoke it.", "トークン{}は一時停止中です。停止解除または失効してください。"},
	IsRevoked:     {"Token {} was revoked; register it again.", "トークン{}は失効中です。もう一度登録してください。"},
	NoSuchToken:   {"There is no token {}; check the serial number.", "トークン{}はありません。シリアル番号を確認してください。"},
	TokenInStock:  {"Token {} is in stock; assign it first.", "トークン{}は在庫です。先に割り当ててください。"},
	TokenInUse:    {"Token {} is held by somebody else; have it revoked there first.", "トークン{}は別の利用者が利用しています。先にその割り当てを失効してください。"},
	TokenExpired:  {"Token {} has expired; register a new one.", "トークン{}は有効期限が切れています。新しいトークンを登録してください。"},
	TokenGone:     {"Token {} is destroyed and cannot be used again.", "トークン{}は廃棄済みで、再び使うことはできません。"},
	NotStarted:    {"Token {} may not be used yet.", "トークン{}はまだ使えません。"},
	OtherExpiry:   {"Token {} has another expiry date than the one this act is limited to; take it out of the selection.", "トークン{}は対象の有効期限ではありません。選択から外してください。"},
	HardwareOnly:  {"Token {} is a software token; this works for hardware tokens.", "トークン{}はソフトウェアトークンです。この操作はハードトークンだけが対象です。"},
	SoftwareOnly:  {"Token {} is a hardware token; an operator has to do this.", "トークン{}はハードトークンです。担当者に依頼してください。"},
	KnownSeed:     {"The secret of token {} belongs to a token that is in use; share that one or revoke it first.", "トークン{}の秘密鍵は利用中のトークンと同じです。共有するか、先に失効してください。"},
	Cooling:       {"After the revocation {} cannot be registered yet.", "失効の直後のため、{}の登録はまだできません。"},
	NoCooldown:    {"Nothing keeps {} from registering; there is nothing to waive.", "{}に待ち時間はありません。"},
	TooManyTokens: {"{} holds as many tokens as one person may have; revoke one first.", "{}のトークン数が上限です。先に1つ失効してください。"},
	DeviceLimit:   {"{} has as many devices as allowed; stop one of them first.", "{}の端末数が上限です。先に1台を停止してください。"},
	TriesUsed:     {"Too many tries with token {}; wait a while.", "トークン{}の試行回数が上限に達しました。しばらくお待ちください。"},
	BudgetUsed:    {"Token {} has had too many failed tries this year; have it replaced.", "トークン{}は年間の試行回数の上限に達しました。交換を依頼してください。"},
	WrongCode:     {"This is not a code of token {}; type the next one that it shows.", "トークン{}の番号ではありません。次に表示される番号を入力してください。"},
	AlreadyUsed:   {"This code of token {} was used; type the next one that it shows.", "トークン{}のこの番号は使用済みです。次に表示される番号を入力してください。"},
	CodeForm:      {"A code of token {} has only digits, all of them, leading zeros too; type it as shown.", "トークン{}の番号は、先頭の0も含めて表示どおりの数字をすべて入力してください。"},
	EqualCodes:    {"Both codes are the same; wait until the display shows another one and type that as the second.", "2つの番号が同じです。表示が変わってから、2つ目に新しい番号を入力してください。"},
	OldEntry:      {"This is the code of a QR code read earlier; delete the old entry in the app and read the QR code again.", "前に読み取ったQRコードの番号です。アプリの古い項目を削除し、もう一度読み取ってください。"},
	ClockOff:      {"The clock of the phone with {} is wrong; set date and time to automatic and try again.", "{}のスマートフォンの時刻がずれています。日付と時刻を自動設定にして、もう一度お試しください。"},
	DriftFar:      {"The clock of token {} is too far off to be followed; have the token replaced.", "トークン{}の時刻のずれが大きすぎます。交換を依頼してください。"},
	DeferUsed:     {"{} has put off registering as often or as long as allowed; register now.", "{}の「あとで登録する」は上限に達しました。登録してください。"},
	ByOperator:    {"Token {} was suspended by an operator; ask the help desk.", "トークン{}は担当者が一時停止しました。窓口へご連絡ください。"},
	TooLate:       {"The time for this has passed for {}; ask the help desk.", "{}についてこの操作ができる期間は過ぎました。窓口へご連絡ください。"},
	TooEarly:      {"It is too early for this with {}.", "{}についてこの操作はまだできません。"},
	UndoUsed:      {"What was done with {} has been built upon and cannot be undone; register again.", "{}の変更はすでに使われているため、元に戻せません。もう一度登録してください。"},
	ExtendMost:    {"Token {} cannot be extended so far; choose an earlier date.", "トークン{}の有効期限をそこまで延長することはできません。より早い日時を指定してください。"},
	NoExpiry:      {"Token {} never expires; there is nothing to extend.", "トークン{}に有効期限はありません。"},
	LinkOpen:      {"The link waits to be opened; start there first.", "リンクはまだ開始されていません。リンクを開いて始めてください。"},
	LinkStarted:   {"The activation is under way.", "アクティベートの途中です。"},
	LinkLapsed:    {"The link is too old; ask for it to be sent again.", "リンクの期限が過ぎました。再送を依頼してください。"},
	LinkRevoked:   {"The link is no longer valid; ask the help desk for another one.", "このリンクは無効です。窓口へご連絡ください。"},
	QuotaUsed:     {"The link was used for as many devices as it is good for; apply for reactivation.", "登録できる台数に達しました。再アクティベートを申請してください。"},
	StartsUsed:    {"The link was started too often; ask the help desk for another one.", "開始できる回数の上限に達しました。窓口へご連絡ください。"},
	StartElse:     {"The activation goes on in another browser; continue there, or start again here.", "別のブラウザで続けられています。そちらで続けるか、ここでもう一度始めてください。"},
	StartLapsed:   {"The page was open too long; start again.", "画面を開いてから時間が経ちました。もう一度始めてください。"},
	ResendUsed:    {"The link was sent as often as allowed today.", "本日の再送回数の上限に達しました。"},
	KindOff:       {"Requests of this kind are not taken; ask the help desk.", "この種類の申請は受け付けていません。窓口へご連絡ください。"},
	PledgeNeeded:  {"The pledge has to be agreed to; read it and tick the box.", "誓約事項への同意が必要です。内容を確認して同意してください。"},
	RequestOpen:   {"Request {} is still open; wait for it or withdraw it.", "申請{}が処理中です。結果を待つか、取り下げてください。"},
	RequestLimit:  {"{} has made as many requests as allowed for now.", "{}の申請回数が上限に達しました。"},
	RequestDone:   {"Request {} is decided already.", "申請{}はすでに処理されています。"},
	OwnRequest:    {"Request {} is your own; another operator has to decide it.", "申請{}はご自身のものです。別の担当者に依頼してください。"},
	ResetLimit:    {"{} has reset as often as allowed for now; ask the help desk.", "{}の登録のやり直しは上限に達しました。窓口へご連絡ください。"},
	TempNone:      {"{} has no temporary codes; ask the help desk.", "{}に一時利用の番号はありません。窓口へご連絡ください。"},
	TempEnded:     {"The temporary codes of {} have ended; ask the help desk.", "{}の一時利用は終了しました。窓口へご連絡ください。"},
	TempRunning:   {"{} has temporary codes that are still good; end them first.", "{}の一時利用は有効です。先に終了してください。"},
	TempTooLong:   {"Temporary codes for {} may not last so long; choose an earlier end.", "{}の一時利用をそこまで長くすることはできません。より早い終了日時を指定してください。"},
	HasToken:      {"{} has a token; the code for a first login is for people who never had one.", "{}にはトークンがあります。初回用の番号は、トークンを持ったことのない利用者だけが対象です。"},
	FirstNone:     {"{} has no code for a first login; ask the help desk.", "{}に初回用の番号はありません。窓口へご連絡ください。"},
	FirstEnded:    {"The code for the first login of {} was used or is too old; ask the help desk.", "{}の初回用の番号は使用済みか期限切れです。窓口へご連絡ください。"},
	FirstOpen:     {"{} has a code for a first login that is still good.", "{}の初回用の番号は有効です。"},
	NoRecovery:    {"{} has no recovery code; ask the help desk.", "{}に回復用コードはありません。窓口へご連絡ください。"},
	NothingLocked: {"Nothing is locked for {}.", "{}はロックされていません。"},
	Stopped:       {"{} was stopped; only an operator or a new registration ends that.", "{}は停止されています。窓口へご連絡いただくか、もう一度登録してください。"},
	PINForm:       {"The PIN may hold only the letters A to Z, a to z and the digits 0 to 9; choose another one.", "PINコードに使えるのは半角英数字だけです。別のPINコードを選んでください。"},
	PINLength:     {"The PIN must have {} characters; choose another one.", "PINコードは{}文字です。別のPINコードを選んでください。"},
	PINRepeated:   {"The PIN is one character repeated; choose another one.", "PINコードが同じ文字の繰り返しです。別のPINコードを選んでください。"},
	PINRun:        {"The PIN is a run such as 1234 or 4321; choose another one.", "PINコードが1234や4321のような並びです。別のPINコードを選んでください。"},
	PINName:       {"The PIN is the user name; choose another one.", "PINコードが利用者名と同じです。別のPINコードを選んでください。"},
	PINHistory:    {"The PIN was used before; choose another one.", "以前に使ったPINコードです。別のPINコードを選んでください。"},
	PINNone:       {"{} has no PIN; choose one first.", "{}のPINコードは設定されていません。先に設定してください。"},
	PINForced:     {"{} has to choose a new PIN already.", "{}にはすでにPINコードの変更を求めています。"},
	UserPresent:   {"{} is known to the directory; there is nothing to clean up.", "{}はディレクトリに存在します。"},
	Quarantined:   {"{} is gone from the directory and in quarantine.", "{}はディレクトリに存在しないため、保留中です。"},
	UserCleaned:   {"{} is gone from the directory and was cleaned up.", "{}はディレクトリに存在しないため、整理済みです。"},
	NoAnswer:      {"The directory did not answer about {}, so nothing was changed; try again later.", "ディレクトリから{}の応答がないため、何も変更していません。あとでもう一度実行してください。"},
}
