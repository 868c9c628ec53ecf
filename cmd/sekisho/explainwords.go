package main

// words are what `explain` says beside the catalogue of reasons.
type words struct {
	name, user, policy, first, refused, place, token, reply, row, then, failures, knownPlaces, newPlaces, pair, binds string

	holds, neither, otherClient, otherUser    string
	exempt, unenrolled                        string
	placeless, placeKnown, placeNew           string
	pinSet, pinNone, none, opens, shut, used  string
	activates, notTaken                       string
	stopped, classStopped, waits, inARow, pot string
	comma, pairBegun, bindsFlying, bindsSpent string
	fromKnown, fromNew, byPolicy, byRule      string
	factors                                   map[string]string
	cases                                     map[string]string
}

var explainWords = map[string]words{
	"en": {
		name: "Name", user: "User", policy: "Policy", first: "First factor", refused: "Refused", place: "Place", token: "Token", reply: "Reply", row: "row",
		then: "  then", failures: "Failures", knownPlaces: "Known places", newPlaces: "New places", pair: "Two codes", binds: "Directory",
		holds: "holds", neither: "neither for this gateway nor for this user", otherClient: "not for this gateway", otherUser: "not for this user",
		exempt: "no code is asked for, because of a group", unenrolled: "no code is asked for so far, because there never was a token",
		placeless: "not known, or the gateway's word on it is not trusted", placeKnown: "%s, known: a login from there was accepted in the last 30 days",
		placeNew: "%s, new", pinSet: "set", pinNone: "not set", none: "none", opens: "opens", activates: "not registered yet; its first right code in a login registers it", notTaken: "; not sent: this kind of gateway does not take it", shut: "cannot open", used: "its present code was used, wait for the next",
		stopped: "the account is stopped", classStopped: "stopped after %d misses in a row", waits: "single codes wait until %s after %d misses in a row",
		inARow: "%d misses in a row", pot: "%.2g of %.2g spent in 365 days, %d more misses before two codes in a row are asked for", comma: "; ",
		pairBegun: "the first of two was right; the next one opens until %s", bindsFlying: "a password is being checked; others wait",
		bindsSpent: "no password is checked now, because more wrong ones could lock the user there",
		fromKnown:  ", known place", fromNew: ", new place", byPolicy: "policy", byRule: "rule %s",
		factors: map[string]string{"password": "password, asked of the directory", "pin": "PIN", "gateway": "the gateway's own check", "none": "none, the code is all there is"},
		cases: map[string]string{"both-right": "Both right", "code-wrong": "Code wrong", "first-wrong": "First factor wrong", "first-alone": "First factor right",
			"both-right-alone": "Code right", "code-wrong-alone": "Code wrong"},
	},
	"ja": {
		name: "名前", user: "利用者", policy: "ポリシー", first: "第1要素", refused: "拒否", place: "接続元", token: "トークン", reply: "応答属性", row: "行",
		then: "  続いて", failures: "失敗", knownPlaces: "いつもの接続元", newPlaces: "新しい接続元", pair: "2つの番号", binds: "ディレクトリ",
		holds: "適用されます", neither: "このVPN装置にもこの利用者にも当てはまりません", otherClient: "このVPN装置には当てはまりません", otherUser: "この利用者には当てはまりません",
		exempt: "グループの設定により番号は不要です", unenrolled: "トークンが一度も登録されていないため、期限までは番号なしで利用できます",
		placeless: "不明、またはVPN装置からの情報を信頼しない設定です", placeKnown: "%s (30日以内に認証に成功した接続元)",
		placeNew: "%s (新しい接続元)", pinSet: "設定済み", pinNone: "未設定", none: "なし", opens: "利用できます", activates: "利用開始登録待ち。ログイン時の最初の正しい番号で登録されます", notTaken: " — この種類のVPN装置は対応しないため送りません", shut: "利用できません", used: "現在の番号は使用済みです。次の番号を待ってください",
		stopped: "アカウントは停止しています", classStopped: "続けて%d回の誤りにより停止しています", waits: "%s まで1つの番号では受け付けません (続けて%d回の誤り)",
		inARow: "続けて%d回の誤り", pot: "365日間の使用量 %.2g / %.2g、あと%d回の誤りで連続する2つの番号が必要になります", comma: "、",
		pairBegun: "1つ目の番号を確認済みです。次の番号を %s まで受け付けます", bindsFlying: "パスワードを確認中です", bindsSpent: "ディレクトリ側のロックを避けるため、いまはパスワードを確認しません",
		fromKnown: " (いつもの接続元)", fromNew: " (新しい接続元)", byPolicy: "ポリシー", byRule: "規則 %s",
		factors: map[string]string{"password": "パスワード (ディレクトリで確認)", "pin": "PINコード", "gateway": "VPN装置による確認", "none": "なし (番号のみ)"},
		cases: map[string]string{"both-right": "どちらも正しい場合", "code-wrong": "番号の誤り", "first-wrong": "第1要素の誤り", "first-alone": "第1要素が正しい場合",
			"both-right-alone": "番号が正しい場合", "code-wrong-alone": "番号の誤り"},
	},
}
