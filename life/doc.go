// Package life holds the rules of the life of tokens: who may hold one, from when, until when, and who may change that. It
// imports package token alone and touches neither clock, disk nor network.
//
//	reserve, enrol            first right code
//	none ---------> pending ------------------> active <-----> suspended      an assignment (user x token)
//	                   |                           |               |
//	                   '----------> revoked <------+---------------'
//	                                   | undo, register again
//
// Start with [Table]: every transition of assignments, tokens, links, requests and users stands there, with who may make it
// and what may stand in its way. docs/life.md is made from it. Then [Act], who does something and when: its methods are the
// rules. Each takes the [State] that an update holds locked and gives the [Change] to be saved, or a [Refusal] with a stable
// code, a sentence and the instant from which the act will be allowed. A Change beside a Refusal holds what the attempt
// itself costs, such as a try, and has to be saved too. [Rules] has the numbers of a site.
//
// # How it is wired
//
// The rules know neither accounts nor events. Who calls them runs inside one Store.Update of package authn, in its f, so
// that check and change are one step and run again on fresh state when the update does:
//
//  1. Keys names the accounts and tokens of the act. For [Act.RevokeLost], [Act.Revoke] of all and [Act.Register] these are
//     all accounts that hold the token; where some are left out, State.Elsewhere counts them.
//  2. Held becomes a State: Account.Assignments and what is stored beside them are Holder.Holds, tokens are copied as they
//     are, and the seeds that codes are compared with are opened with token.Keys and cleared after the call.
//  3. The rule runs.
//  4. A Change becomes an authn.Change. Holders go into Accounts with Generation raised, which drops whatever was open (S13).
//     Tokens go into Tokens, with ResetStep where a Step has the verbs confirm, register, test, resync, reset-drift,
//     resume, enrol or self-unlock, because they burn steps; Last never goes down there. Each Step is one ActEvent, its Act
//     being kind and verb ("assignment.revoke"), its Detail from, to, reason and reference. Notices go into the outbox.
//     Cost is charged to the account's pot of known sources before the code is looked at, and is given back on success
//     (S4); self-unlock sets Guard.Row and Guard.Wait to zero with ResetGuard and leaves stops and pots.
//  5. Records, links and requests are rows of their own, saved in the same transaction.
//
// Package desk does this, once for every door. A login that a right code of a
// pending token activates calls [Act.Confirm] by [ByLogin] with the evaluation it has made; one with a temporary code calls
// [Act.UseTemporary], one with a first code [Act.UseFirstLogin], and one with a token of a user whose temporary codes run
// [Act.EndTemporary].
//
// Timers of the system: [Act.Lapse] at Hold.Until, [Act.LapseRequest] and [RequestRules.RemindDue] for open requests,
// [Act.EraseSeed] once Rules.Undo has passed since Record.Ended, [Rules.MailDue] once a day for each expiry, and
// [Act.SweepDirectory] after each round of questions to a directory. They stop while the clock is in doubt (S21).
package life
