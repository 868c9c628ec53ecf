package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
)

const (
	keySize       = 32 // octets of every key here: AES-256 and HMAC-SHA256
	wrapFormat    = 1  // first octet of what Wrap gives
	hiddenKey     = "[key]"
	purposeWrap   = "sekisho outer key: data keys"
	purposeSeed   = "sekisho data key: seed"
	infoDerived   = "sekisho index key: for "
	infoSeedPrint = "sekisho index key: seed fingerprint"
)

// OuterKey is the key that never stands in the data folder or a backup (S23). It opens the [Keys] and nothing else, so
// that changing it rewrites one row. It prints as "[key]".
type OuterKey struct{ aead cipher.AEAD }

func newOuterKey(octets []byte) (*OuterKey, error) {
	aead, err := newAEAD(octets)
	if err != nil {
		return nil, err
	}
	return &OuterKey{aead}, nil
}

// newAEAD is AES-256-GCM that draws a random nonce for each seal and keeps it in front of the ciphertext. One key may seal
// some 2^32 times; the largest sites hold 2^20 tokens.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("setting up AES: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("setting up AES-GCM: %w", err)
	}
	return aead, nil
}

// Format hides the key from fmt.
func (*OuterKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hiddenKey)) }

// LogValue hides the key from slog.
func (*OuterKey) LogValue() slog.Value { return slog.StringValue(hiddenKey) }

// Keys are the keys inside the store (S23): data keys by version, which seal seeds, and one index key. It prints as
// "[key]". All methods may be called at the same time; make one with [NewKeys] or [Unwrap].
//
// The index key stands apart from the data keys because what it makes cannot be made again: a fingerprint on a tombstone
// has lost its seed and a stored PIN is only a hash, so neither can move to a new key. Data keys rotate, the index key
// stays for the life of the store.
type Keys struct {
	ring     atomic.Pointer[ring]
	rotating sync.Mutex
}

// ring is never changed once it is published; Rotate publishes a new one.
type ring struct {
	data    []dataKey // ascending versions, at least one; new seals use the last
	index   [keySize]byte
	fingers [keySize]byte // derived from index
}

type dataKey struct {
	version uint32
	key     [keySize]byte
	aead    cipher.AEAD
}

// Format hides the keys from fmt.
func (*Keys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hiddenKey)) }

// LogValue hides the keys from slog.
func (*Keys) LogValue() slog.Value { return slog.StringValue(hiddenKey) }

// NewKeys makes the keys of a new store.
func NewKeys() (*Keys, error) {
	var index [keySize]byte
	_, _ = rand.Read(index[:]) // never fails: the program ends where the system has no randomness
	first, err := newDataKey(1)
	if err != nil {
		return nil, err
	}
	return newKeys(index, []dataKey{first})
}

func newKeys(index [keySize]byte, data []dataKey) (*Keys, error) {
	fingers, err := hkdf.Key(sha256.New, index[:], nil, infoSeedPrint, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the fingerprint key: %w", err)
	}
	k := new(Keys)
	k.ring.Store(&ring{data: data, index: index, fingers: [keySize]byte(fingers)})
	return k, nil
}

func newDataKey(version uint32) (dataKey, error) {
	var key [keySize]byte
	_, _ = rand.Read(key[:])
	return loadDataKey(version, key)
}

func loadDataKey(version uint32, key [keySize]byte) (dataKey, error) {
	aead, err := newAEAD(key[:])
	if err != nil {
		return dataKey{}, err
	}
	return dataKey{version, key, aead}, nil
}

// Wrap gives the keys sealed under the outer key, for the store to keep. Wrapping again gives other octets for the same
// keys.
//
// The plain form is the index key, then each data key as a version of 4 octets and 32 octets of key.
func (k *Keys) Wrap(o *OuterKey) ([]byte, error) {
	r := k.ring.Load()
	plain := make([]byte, 0, keySize+len(r.data)*(4+keySize))
	defer func() { clear(plain) }()
	plain = append(plain, r.index[:]...)
	for i := range r.data {
		plain = binary.BigEndian.AppendUint32(plain, r.data[i].version)
		plain = append(plain, r.data[i].key[:]...)
	}
	return o.aead.Seal([]byte{wrapFormat}, nil, plain, []byte(purposeWrap)), nil
}

// ErrWrongOuterKey says that the outer key is not the one that the store's keys were wrapped under, or that the wrapped
// keys were damaged; the two cannot be told apart.
var ErrWrongOuterKey = errors.New("the outer key does not open this store: either the key file belongs to another " +
	"store or the stored keys are damaged; give the key file that was made with this store")

// Unwrap opens what [Keys.Wrap] gave. Another key or damaged octets give [ErrWrongOuterKey].
func Unwrap(o *OuterKey, blob []byte) (*Keys, error) {
	if len(blob) == 0 {
		return nil, errors.New("opening the store's keys: there are none; the store was not set up to its end")
	}
	if blob[0] != wrapFormat {
		return nil, fmt.Errorf("opening the store's keys: format %d is unknown; a newer version of sekisho wrote them", blob[0])
	}
	plain, err := o.aead.Open(nil, nil, blob[1:], []byte(purposeWrap))
	if err != nil {
		return nil, ErrWrongOuterKey
	}
	defer clear(plain)
	k, err := parseKeys(plain)
	if err != nil {
		return nil, fmt.Errorf("opening the store's keys: %w", err)
	}
	return k, nil
}

func parseKeys(plain []byte) (*Keys, error) {
	const each = 4 + keySize
	if len(plain) < keySize+each || (len(plain)-keySize)%each != 0 {
		return nil, fmt.Errorf("%d octets hold no whole number of keys", len(plain))
	}
	index, plain := [keySize]byte(plain), plain[keySize:]
	data := make([]dataKey, 0, len(plain)/each)
	last := uint32(0)
	for ; len(plain) > 0; plain = plain[each:] {
		d, err := loadDataKey(binary.BigEndian.Uint32(plain), [keySize]byte(plain[4:]))
		if err != nil {
			return nil, err
		}
		if d.version <= last {
			return nil, fmt.Errorf("data key version %d stands after %d", d.version, last)
		}
		last = d.version
		data = append(data, d)
	}
	return newKeys(index, data)
}

// Rotate adds a data key of the next version, which new seals use; older versions still open what they sealed. save is given
// the keys as they will be and makes what [Keys.Wrap] gives of them durable; until it has, nobody seals with the new key, so
// that no seed is lost. After an error of save nothing has changed here. One rotation runs at a time.
func (k *Keys) Rotate(save func(next *Keys) error) error {
	k.rotating.Lock()
	defer k.rotating.Unlock()
	old := k.ring.Load()
	last := old.data[len(old.data)-1].version
	if last == math.MaxUint32 {
		return errors.New("rotating the data key: there is no version after 4294967295")
	}
	fresh, err := newDataKey(last + 1)
	if err != nil {
		return fmt.Errorf("rotating the data key: %w", err)
	}
	r := *old
	r.data = append(old.data[:len(old.data):len(old.data)], fresh)
	next := new(Keys)
	next.ring.Store(&r)
	if err := save(next); err != nil {
		return fmt.Errorf("saving the new data key: %w", err)
	}
	k.ring.Store(&r)
	return nil
}

// Version is the data key version that new seals use; seeds of a lower one wait to be sealed again after [Keys.Rotate].
func (k *Keys) Version() uint32 {
	r := k.ring.Load()
	return r.data[len(r.data)-1].version
}

// seedBinding is what ties a sealed seed to its place: copied to another token, version or use it does not open.
type seedBinding [len(purposeSeed) + 8 + 4]byte

func (b *seedBinding) set(id ID, version uint32) []byte {
	n := copy(b[:], purposeSeed)
	binary.BigEndian.PutUint64(b[n:], uint64(id))
	binary.BigEndian.PutUint32(b[n+8:], version)
	return b[:]
}

// bindings are reused because what goes through the AEAD interface moves to the heap, and a login opens a seed or more.
var bindings = sync.Pool{New: func() any { return new(seedBinding) }}

// SealSeed seals the seed of a token under the newest data key, with a random nonce, bound to the token's ID and the
// key's version. Seeds outside [MinSeed] to [MaxSeed] octets are refused.
func (k *Keys) SealSeed(id ID, seed []byte) (SealedSeed, error) {
	if err := CheckSeed(seed); err != nil {
		return SealedSeed{}, fmt.Errorf("sealing the seed of token %v: %w", id, err)
	}
	r := k.ring.Load()
	d := &r.data[len(r.data)-1]
	var b seedBinding
	return SealedSeed{d.version, d.aead.Seal(nil, nil, seed, b.set(id, d.version))}, nil
}

// OpenSeed appends the seed to dst and returns the result. It allocates nothing when dst has room for [MaxSeed] octets.
// The caller clears the seed once its code is checked (S23).
func (k *Keys) OpenSeed(dst []byte, id ID, s SealedSeed) ([]byte, error) {
	r := k.ring.Load()
	for i := len(r.data) - 1; i >= 0; i-- {
		d := &r.data[i]
		if d.version != s.Version {
			continue
		}
		b := bindings.Get().(*seedBinding)
		out, err := d.aead.Open(dst, nil, s.Data, b.set(id, s.Version))
		bindings.Put(b)
		if err != nil {
			return nil, fmt.Errorf("opening the seed of token %v: it is damaged or was sealed for another token", id)
		}
		return out, nil
	}
	return nil, fmt.Errorf("opening the seed of token %v: data key version %d is not among the store's keys", id, s.Version)
}

// Fingerprint knows a seed again without holding it (S9): equal for equal seeds of one store and worth nothing to whoever
// lacks the index key. Zero octets at the end do not count, because HMAC fills keys up with them: seeds that differ only
// there show the same codes.
func (k *Keys) Fingerprint(seed []byte) [16]byte {
	r := k.ring.Load()
	m := hmac.New(sha256.New, r.fingers[:])
	m.Write(bytes.TrimRight(seed, "\x00"))
	var sum [sha256.Size]byte
	m.Sum(sum[:0])
	return [16]byte(sum[:])
}

// Derive gives the key for another use of the store's index key, by HKDF-SHA256 (RFC 5869) without salt. Each purpose has
// its own key and it stays the same for the life of the store.
func (k *Keys) Derive(purpose string) [32]byte {
	r := k.ring.Load()
	key, err := hkdf.Key(sha256.New, r.index[:], nil, infoDerived+purpose, keySize)
	if err != nil {
		panic(fmt.Sprintf("deriving a key of %d octets: %v", keySize, err)) // HKDF refuses only lengths over 255 hashes
	}
	return [32]byte(key)
}

// CheckSeed refuses seeds that are too short to be safe or too long to be real, and those of a single repeated octet,
// which come from empty fields and test benches.
func CheckSeed(seed []byte) error {
	if len(seed) < MinSeed || len(seed) > MaxSeed {
		return fmt.Errorf("the secret has %d octets: want %d to %d", len(seed), MinSeed, MaxSeed)
	}
	if bytes.Count(seed, seed[:1]) == len(seed) {
		return errors.New("the secret is one octet repeated; it is a filler, not a secret")
	}
	return nil
}

// parseOuterKey reads the text of a key file: blank lines and lines that begin with # are left out, one line of base64
// remains.
func parseOuterKey(text []byte) (*OuterKey, error) {
	var found []byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if found != nil {
			return nil, errors.New("it holds more than one line of text; want one key and comment lines that begin with #")
		}
		found = bytes.ReplaceAll(line, []byte(" "), nil) // as a sheet of paper has it
	}
	if found == nil {
		return nil, errors.New("it holds no key; make one with 'sekisho keys new FILE'")
	}
	key := make([]byte, base64.StdEncoding.DecodedLen(len(found)))
	defer clear(key)
	n, err := base64.StdEncoding.Strict().Decode(key, found)
	if err != nil {
		return nil, errors.New("its key is not base64; copy the file again without changing a letter")
	}
	if n != keySize {
		return nil, fmt.Errorf("its key has %d octets: want %d, 44 characters of base64", n, keySize)
	}
	key = key[:n]
	if bytes.Count(key, key[:1]) == len(key) {
		return nil, errors.New("its key is one octet repeated; make a real one with 'sekisho keys new FILE'")
	}
	return newOuterKey(key)
}
