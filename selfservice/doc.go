// Package selfservice has the pages on which people look after their own devices: they activate one from a link, see what
// they have, and say that one is lost. They work on a phone of 320 px and without script, in Japanese and English.
//
//	mail                 sign-in page                          "lost" page
//	 | link               | name, password, code if there is one  | name, password
//	 v                    v                                        v
//	/a/SECRET            /my  devices, tokens, requests ...       /help-me  stop a device, ask for a new one
//	 | password
//	 v
//	/activate  QR, key -> code -> (PIN) -> /activate/done
//
// No rule lives in a page. Who somebody is, a [Prover] says, which stands on the rules of logins; what they may do, the
// [Desk], which stands on those of the life cycle. A page reads a form, calls one of them, and shows what came back: a
// refusal with its code and sentence, a fault as one that the log explains.
//
// [Server.Handler] guards every request the same way: a Content-Security-Policy that allows nothing but this listener's own
// files, no referrer, no cache, forms of other sites refused, 64 KB of a form at most. A GET changes nothing, so that programs
// which open the links of mails spend nothing.
package selfservice
