package admin

import (
	"fmt"
	"strings"

	"sekisho/operator"
	"sekisho/token"
)

// Every sentence that the API says to people, the refusals of authn's rules apart.
const (
	wordFault          = "The service met a fault; its log has the details."
	wordBusy           = "Too much waits to be written; try again in a moment."
	wordNotSaved       = "The change was not saved; the service's log has the reason."
	wordNoBackup       = "No backup was made; the service's log has the reason."
	wordUnknownOutcome = "The call ended before the change was confirmed; look at what is there before trying again."
	wordDirectoryDown  = "The directory does not answer, so nobody can be looked up; its log lines have the reason."
	wordEventsFailed   = "The events could not be read; the service's log has the reason."
	wordBadAfter       = "The number of an event is wanted, such as 120000; leave it out for all events."
	wordBadKey         = "The list cannot go on from there; give what the page before names as next."
	wordTooManyCalls   = "Too many changes in a short time; wait as long as Retry-After says and go on slower."
	wordBadIdempotency = "The Idempotency-Key is none; any random text up to 255 characters will do."
	wordInProgress     = "A call with this Idempotency-Key is under way; ask again in a moment."
	wordOtherCall      = "This Idempotency-Key was used for another call within the last 24 hours; give each call a key of its own."
	wordOutcomeUnknown = "The service ended while a call with this Idempotency-Key was under way; look at what is there, then use another key."
	wordAlreadyDone    = "A call with this Idempotency-Key was done before; its answer is not kept, because it was long or held a secret."
	wordStale          = "This was changed meanwhile; look at it as it is now, then try again."
	wordBadInstant     = "An instant cannot be read."
	wordNoSuchRecord   = "There is nothing with this ID; a listing shows the IDs."
	wordUnknownTokens  = "Some of these are no tokens; nothing was changed."
	wordNoAccount      = "Nothing was ever given to %s, so there is nothing to do this to."
	wordNothingToUndo  = "Nothing of theirs was revoked within the time in which it can be undone."
	wordNoSelfService  = "No letter was made: the configuration has no self-service URL that its link could lead to."
	wordBadHead        = "The link of a head is 64 hexadecimal digits."
	wordClockFine      = "The clock is not in doubt; there is nothing to accept."
	wordClockDoubt     = "The clock is in doubt, so codes that depend on the time are not compared; compare it with another one, then: sekisho clock accept."
)

const (
	wordNotFound       = "There is nobody and nothing of this name."
	wordNoOperators    = "This person is an operator; only a master may do this to operators."
	wordNotOneself     = "Nobody does this to themself; ask another operator."
	wordRegisterFirst  = "Your own token has ended; register a new one, sign in with it, and go on then."
	wordStepUp         = "Show once more that it is you, by password and a fresh code, and try again."
	wordSocketOnly     = "This shows or takes a secret of somebody else, so only the machine's administrator may, over the local socket; send an activation link instead."
	wordSignInRefused  = "The name, the password or the code is not right, or the code was used before. Wait for the next code; when that is refused too, type the one after it."
	wordSignIn         = "Sign in first, or give an API key."
	wordTryAgain       = "The sign-in could not be decided; try again in a moment."
	wordNoStepUp       = "Only a session that was begun with a password and an own token can be stepped up; sign in."
	wordLinkOver       = "This link was used, is over, or never was one; ask for another one."
	wordLinkNeeded     = "A software token needs a link; ask a master for one, or register a hardware token by its serial and a code."
	wordNotRegistering = "This is for operators without a token; use the self-service pages for further ones."
	wordOperatorExists = "This person is an operator already; change their role instead."
	wordLastMaster     = "The last master who sees everybody stays; make another one first."
	wordWiderScope     = "The scope reaches people outside your own."
	wordNoApproval     = "There is no such approval; make the call once more to get a number."
	wordOwnKey         = "Your own key asks for this, so another operator has to agree."
	wordKeyRevoked     = "This key is revoked already."
	wordCrossOrigin    = "Another site's page sent this; open the operators' pages themselves."
	wordCutBody        = "The body of the call ended too soon."
	wordTooLarge       = "The body is larger than this call takes."
	wordSecondPerson   = "A second operator has to agree to this; ask for it with the number of this approval."
)

func wordNoRight(p operator.Principal, right operator.Right) string {
	return fmt.Sprintf("The role %v of %s has no right to do this (%s); ask a master.", p.Role, quoted(p.Name), right)
}

func wordUnknownOperator(name string) string {
	return fmt.Sprintf("%s is no operator; 'sekisho operator list' shows them.", quoted(name))
}

// joined is a list in words.
func joined(all []string) string { return strings.Join(all, ", ") }

func wordNotAdministrator(p Peer) string {
	return fmt.Sprintf("%s (uid %d) may not take seeds or the store out of the service; root and the service's own user may.", p.Name, p.UID)
}

func wordNotOperator(p Peer) string {
	return fmt.Sprintf("%s (uid %d) may not operate this service; root, the service's own user and those in admin.operators may.", p.Name, p.UID)
}

func wordBadConfig(n int) string {
	return fmt.Sprintf("The configuration was not reloaded: it has %d fault(s). The former one goes on.", n)
}

func wordUnknownUser(name string) string {
	return fmt.Sprintf("The directory knows no user %s; check the spelling.", quoted(name))
}

func wordAmbiguousUser(name string) string {
	return fmt.Sprintf("The name %s fits more than one user of the directory; use a more exact one.", quoted(name))
}

func wordUnknownToken(ref string) string {
	return fmt.Sprintf("There is no token %s; 'sekisho token list' shows serials and IDs.", quoted(ref))
}

func wordUnknownClient(name string) string {
	return fmt.Sprintf("The configuration has no client %s; 'sekisho client list' shows them.", quoted(name))
}

func wordNotRatcheted(name string) string {
	return fmt.Sprintf("Client %s is not held to Message-Authenticator by a ratchet; what its configuration says applies.", quoted(name))
}

func wordUnknownReason(code string) string {
	return fmt.Sprintf("There is no reason %s; the events show the codes.", quoted(code))
}

const (
	wordImportUnderWay   = "Another import is under way; try again when it is done."
	wordChangedMeanwhile = "Nothing was imported: what is here changed while the file was looked at; try again."
	wordUnreadableFile   = "Nothing was imported: the file cannot be read."
	wordBadForm          = "The body is not a form that this call takes."
	wordBadOptions       = "Some options of the import are wrong."
	wordBadRecipient     = "Nothing was exported: it is not clear who shall be able to open the file."
	wordNothingToExport  = "Nothing was exported: no token is as asked for."
)

func wordBadFile(faults int) string {
	if faults > maxPlaces {
		return fmt.Sprintf("Nothing was imported: the file has %d faults, of which the first %d are listed.", faults, maxPlaces)
	}
	return fmt.Sprintf("Nothing was imported: the file has %d fault(s).", faults)
}

func wordNoSeed(t *token.Token) string {
	return fmt.Sprintf("Nothing was exported: token %s was destroyed, and its seed with it.", label(t))
}

func wordNotAssigned(t *token.Token) string {
	return fmt.Sprintf("Nobody holds token %s; assign it first.", label(t))
}

func wordSeveralHolders(t *token.Token, n int) string {
	return fmt.Sprintf("%d users hold token %s; say which one with --user.", n, label(t))
}

func label(t *token.Token) string {
	if t.Serial != "" {
		return t.Serial
	}
	return t.ID.String()
}

const wordUnknownMail = "There is no mail %s; 'sekisho mail list' shows those that there are."

func wordUnknownMailKind(kind string) string {
	return fmt.Sprintf("%s is no kind of mail; docs/mail.md lists them.", quoted(kind))
}
