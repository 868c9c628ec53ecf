package authn

import "fmt"

// RecordKind says what a [Record] is about.
type RecordKind uint8

// The kinds. They are stored: append, never renumber.
const (
	HolderRecord     RecordKind = iota + 1 // ID is the account's: what the rules of the life cycle remember about its owner
	TokenRecord                            // ID is the token's: what they remember about it
	ActivationRecord                       // a link with which devices are registered
	RequestRecord                          // a request, or an assisted reset
	MessageRecord                          // a mail on its way
	OperatorRecord                         // who may act for others
	KeyRecord                              // an API key
	ApprovalRecord                         // an act that waits for a second person
	SessionRecord                          // a sign-in to pages or API
	JobRecord                              // long work and how far it has come
	ClientRecord                           // a RADIUS client that was made at run time
	CampaignRecord                         // a switch of many tokens
	ReplyRecord                            // the answer to a call with an Idempotency-Key
	SettingRecord                          // what the service keeps about itself
	recordEnd
)

var recordKinds = [recordEnd]string{"", "holder", "token", "activation", "request", "message", "operator", "key", "approval",
	"session", "job", "client", "campaign", "reply", "setting"}

// String gives the word of the kind.
func (k RecordKind) String() string {
	if k < recordEnd {
		return recordKinds[k]
	}
	return fmt.Sprintf("record kind %d", k)
}

// Valid reports a kind that there is.
func (k RecordKind) Valid() bool { return k > 0 && k < recordEnd }

// RecordKey finds one record. IDs are not zero and below 1<<63.
type RecordKey struct {
	Kind RecordKind
	ID   uint64
}

// Record is one thing of the life cycle beside accounts and tokens. The store knows only what it finds records by; what they
// say is in Data, which the rules' callers write and read and the store seals.
type Record struct {
	RecordKey
	Version uint64    // set by the store: another one after each change, never one that the record had before
	Account AccountID // whom it is about; zero: nobody
	State   uint8     // what listings narrow to; each kind has its own
	Due     int64     // Unix seconds at which something has to be done about it; 0: nothing
	Lookup  [16]byte  // keyed hash of the secret that finds it, unique within the kind; zero: none
	Data    []byte
}

// RecordQuery narrows a listing of records of one kind; zero fields narrow nothing.
type RecordQuery struct {
	Kind    RecordKind
	Account AccountID
	States  []uint8
	DueBy   int64  // those with a Due at or before it
	After   uint64 // last ID of the page before; pages go up by ID
	Before  uint64 // with Newest: last ID of the page before
	Newest  bool   // pages go down by ID
	Limit   int    // at most 1000; 0 stands for 100
}

// Records reads records outside of an update.
type Records interface {
	// RecordOf finds the record of a kind by its Lookup; zero when there is none.
	RecordOf(kind RecordKind, lookup [16]byte) uint64
	// Record gives a copy; ErrNotFound when there is none.
	Record(key RecordKey) (*Record, error)
	// Records lists a page of copies.
	Records(q RecordQuery) ([]*Record, error)
}
