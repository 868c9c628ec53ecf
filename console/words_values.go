package console

// valueWords are looked up by a value of the API.
var valueWords = map[string]text{
	"state.accept":    {"accepted", "成功"},
	"state.reject":    {"refused", "拒否"},
	"state.challenge": {"asked", "番号を要求"},
	"state.discard":   {"no answer", "応答なし"},
	"state.in stock":  {"in stock", "在庫"},
	"state.in use":    {"in use", "利用中"},
	"state.expired":   {"expired", "有効期限切れ"},
	"state.destroyed": {"destroyed", "破棄済み"},
	"state.pending":   {"waiting", "利用開始登録待ち"},
	"state.active":    {"active", "利用中"},
	"state.suspended": {"suspended", "一時停止中"},
	"state.revoked":   {"revoked", "失効"},

	"state.in-service": {"in service", "サービス利用中"},
	"state.waiting":    {"waiting", "利用開始登録待ち"},
	"state.exempt":     {"exempt", "対象外"},
	"state.none":       {"none", "なし"},
	"state.set":        {"set", "設定済み"},
	"state.open":       {"open", "受付中"},
	"state.approved":   {"approved", "承認"},
	"state.refused":    {"refused", "却下"},
	"state.withdrawn":  {"withdrawn", "取り下げ"},
	"state.lapsed":     {"lapsed", "期限切れ"},
	"state.started":    {"started", "登録中"},
	"state.used up":    {"used up", "使用済み"},
	"state.asked":      {"waiting", "承認待ち"},
	"state.agreed":     {"agreed", "承認"},
	"state.used":       {"done", "実行済み"},

	"form.hardware": {"hardware", "ハードトークン"},
	"form.software": {"software", "ソフトトークン"},

	"stage.lookup": {"look-up", "検索"},
	"stage.bind":   {"password", "パスワード確認"},
	"stage.lock":   {"lock", "ロック待ち"},
	"stage.total":  {"total", "合計"},

	"part.store":     {"store", "データベース"},
	"part.clock":     {"clock", "時計"},
	"part.radius":    {"RADIUS", "RADIUS"},
	"part.directory": {"directory", "ディレクトリ"},

	"role.user":     {"user", "一般ユーザ"},
	"role.master":   {"master", "マスターユーザ"},
	"role.admin":    {"administrator", "管理者ユーザ"},
	"role.helpdesk": {"help desk", "ヘルプデスク"},
	"role.auditor":  {"auditor", "監査担当"},

	"factor.password": {"directory password", "ディレクトリのパスワード"},
	"factor.pin":      {"PIN", "PINコード"},
	"factor.gateway":  {"checked by the gateway", "VPN装置で確認済み"},
	"factor.none":     {"none", "なし"},

	"case.both-right":  {"everything right", "すべて正しい"},
	"case.code-wrong":  {"wrong code", "番号が違う"},
	"case.first-wrong": {"wrong password or PIN", "パスワードまたはPINコードが違う"},
	"case.first-alone": {"password or PIN alone", "パスワードまたはPINコードだけ"},

	"challenge.none":  {"no", "なし"},
	"challenge.plain": {"yes", "あり"},
	"challenge.blind": {"yes, also after a wrong password", "あり(パスワードの誤りも同じ応答)"},

	"fix.unlock":  {"Unlock", "解除"},
	"fix.user":    {"User's tokens", "トークンを確認"},
	"fix.find":    {"Find the user", "利用者を検索"},
	"fix.name":    {"How it is read", "名前を調べる"},
	"fix.explain": {"Explain", "理由を調べる"},
	"fix.gateway": {"Gateway", "VPN装置を確認"},
	"fix.service": {"Diagnostics", "診断を開く"},
}
