package main

// The sentences that commands say to people, the service's own apart.
const (
	wordNoService     = "no service answers on %s; start it with 'sekisho serve', or name its socket with --socket"
	wordNoSocketRight = "you may not use %s; run this as root or as the service's user"
	wordConfigOK      = "OK"
	wordKeyMade       = "The key is in %s. Keep a copy in a safe place apart from this machine: without it no token in the store can be used."
	wordEnrolled      = "Token %s of %s waits for its first code. Read the picture with the app, or type the key:\n\n  %s\n\n" +
		"Nobody can show this key again. Then: sekisho token confirm %s CODE\n"
	wordInit        = "Made in %s. Next:\n"
	wordInitKey     = "Print 'sekisho keys sheet %s' and lock the sheet away: without the key no token in the store can be used."
	wordInitUser    = "Make the service's user %s (systemd-sysusers does), then: chown -R %[1]s: %[2]s"
	wordInitGateway = "sekisho client show %s --config %s --gateway-config tells what the gateway needs; its secret is in %s"
	wordKeySheet    = "Key of a Sekisho store\n\nfile     %s on %s\nprinted  %s\ncheck    %s\n\n%s\n\n  %s\n\n" +
		"To use it: write the line above, with or without blanks, into a file that only the service's user may read, name the\n" +
		"file in keys.file, and compare the check with 'sekisho keys sheet FILE'. Whoever has this sheet and the database has\n" +
		"every token.\n"
	wordMoved = "%d clients and %d users were taken, %d lines were not; they are named above.\n" +
		"Read the files in %s, move freeradius.yaml to conf.d, then: sekisho check-config\n"
	wordAllHere      = "Nothing to import: all %d tokens are here already."
	wordDryRun       = "Nothing was changed."
	wordExported     = "%s tokens with their secrets stand in %s. Destroy it once it was read."
	wordExportShared = "%s of them are held by several users; the file names one user for each."
	wordExportCut    = "the service broke off the export, and the file was removed; the service's log has the reason"
	wordImportCut    = "the service broke off its answer, so it is not known what came in; 'sekisho logins --acts' shows the import if it did, and the same file again changes nothing"
	wordNoTokens     = "There are no tokens; 'sekisho token import FILE' brings some in."
	wordNoClients    = "The configuration names no gateways; add them under radius.clients."
	wordNoChanges    = "The configuration was read again; nothing in it has changed."
	wordNeedsRestart = "needs a restart: %s"
	wordNoLogins     = "There are no such logins."
	wordAdopted      = "The present database is adopted: %s. Start the service."
	wordSuspended    = "Then for each suspended token of 'sekisho token list': token revoke TOKEN, token assign TOKEN USER --pending, token\nconfirm TOKEN CODE with its next code."
	wordStreamEnds   = "The stream ends with event %d, at %s. A code that was used later than that is not known."
	wordStreamGap    = "The stream does not stand for all of the lost time: %s. So event-based tokens are suspended."
	wordLostActs     = "Operators did this in the time that was lost; do again what is still wanted, revocations first:"
	wordNoEvents     = "%s holds no events of this installation (audit.instance %q)"
	wordErased       = "Erased: %d events and %d accounting records name nobody any more."
	wordEraseCut     = "the service broke off its answer (%w); part of it may be erased, so call it again"
	wordNoRecipient  = "It is not said to whom the backup is sealed: set backup.recipient in the configuration, or give --recipient."
	wordBackedUp     = "%s: everything up to event %d, %d octets, in %v, sealed for %s"
	wordBackupCut    = "the backup did not arrive whole and was thrown away (%w); the service's log tells more"
	wordBackupKey    = "The secret key is in %s: lock it away, off this machine, beside the sheet of keys.file; without both no backup opens.\n" +
		"Put this into the configuration:\n\nbackup:\n  recipient: %s"
	wordRestored = "%s is restored; it ends at event %d."
	wordAside    = "The former database is %s now; remove it when nobody needs it any more."
	wordCASaved  = "  The certificate of %s is in %s. Its SHA-256 is %s; compare it with what its administrator\n" +
		"  tells you before you name the file as ca_file.\n"
)
