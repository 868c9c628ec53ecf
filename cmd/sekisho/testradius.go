package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"sekisho/authn"
	"sekisho/radius/dictionary"
)

func (a *app) testCommand() *cobra.Command {
	return group("test", "Try the service and what it stands on", a.testRadius(), a.testLDAP(), a.testOTP(), a.testMail())
}

func (a *app) testRadius() *cobra.Command {
	c := radiusClient{}
	var codes []string
	var challenge bool
	var count int
	var rate float64
	cmd := &cobra.Command{
		Use: "radius USER PASSWORD HOST[:PORT] SECRET", Short: "Log in as a gateway would and show the answer",
		Long: "The arguments stand in the order of radtest. PASSWORD is what the person types into the one field, the code behind the\n" +
			"password where the policy joins them; - asks for it. SECRET is the shared secret, or @FILE. The request is signed with\n" +
			"Message-Authenticator, repeated with the same octets until an answer comes, and only an answer whose signatures are right\nis believed. Exit 0: accepted, 1: anything else.",
		Example: "  sekisho test radius bob hunter2123456 127.0.0.1:1812 @/etc/sekisho/secrets/gw\n" +
			"  sekisho test radius carol hunter2 vpn-auth.example.com @secret --challenge --code 123456",
		Args: arguments("USER", "PASSWORD", "HOST[:PORT]", "SECRET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.method != "pap" && c.method != "chap" {
				return usageError{fmt.Errorf("--method %q: choose pap or chap", c.method)}
			}
			if count < 1 || c.tries < 1 || c.retry <= 0 || rate < 0 {
				return usageError{errors.New("--count and --tries have to be 1 or more, --retry and --rate above 0")}
			}
			c.user, c.address = args[0], withPort(args[2], "1812")
			password := args[1]
			var err error
			if password == "-" {
				if password, err = a.readSecret("Password", false); err != nil {
					return err
				}
			}
			c.secret, err = sharedSecret(args[3])
			if err != nil {
				return err
			}
			answer := func(prompt string) (string, error) {
				if len(codes) > 0 {
					code := codes[0]
					codes = codes[1:]
					return code, nil
				}
				return a.readSecret(prompt, false)
			}
			if !challenge && len(codes) == 0 {
				answer = nil
			}
			if count > 1 {
				return a.many(cmd.Context(), &c, password, count, rate)
			}
			accepted, err := a.dialogue(cmd.Context(), &c, password, answer)
			if err == nil && !accepted {
				return statusError(1)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&challenge, "challenge", false, "answer an Access-Challenge, by --code or by asking")
	f.StringArrayVar(&codes, "code", nil, "`CODE` for an Access-Challenge; repeat it for further tries")
	f.StringVar(&c.method, "method", "pap", "how the password travels: pap or chap")
	f.StringVar(&c.station, "station", "", "Calling-Station-Id: the `address` of the person")
	f.IntVar(&count, "count", 1, "send so many logins and show how they went")
	f.Float64Var(&rate, "rate", 0, "of several, begin so many a second (default: one after the other)")
	f.DurationVar(&c.retry, "retry", 2*time.Second, "repeat an unanswered request after so long")
	f.IntVar(&c.tries, "tries", 5, "send a request at most so often")
	return cmd
}

// sharedSecret takes a secret from the command line or from @FILE.
func sharedSecret(arg string) (authn.Secret, error) {
	name, isFile := strings.CutPrefix(arg, "@")
	if !isFile {
		return authn.NewSecret([]byte(arg)), nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return authn.Secret{}, err
	}
	return authn.NewSecret([]byte(strings.TrimRight(string(text), "\r\n"))), nil
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// dialogue logs in once, answers challenges where it can, and prints each answer.
func (a *app) dialogue(ctx context.Context, c *radiusClient, password string, answer func(prompt string) (string, error)) (accepted bool, err error) {
	var state []byte
	for {
		begin := time.Now()
		reply, sent, err := c.exchange(ctx, password, state)
		if err != nil {
			return false, err
		}
		printReply(a.out, reply, sent, time.Since(begin))
		if reply.Code != radius.CodeAccessChallenge || answer == nil {
			return reply.Code == radius.CodeAccessAccept, nil
		}
		state = rfc2865.State_Get(reply)
		password, err = answer(shownText(rfc2865.ReplyMessage_GetString(reply)))
		if err != nil {
			return false, err
		}
	}
}

// many sends count logins and prints what came of them.
func (a *app) many(ctx context.Context, c *radiusClient, password string, count int, rate float64) error {
	type result struct {
		word string
		took time.Duration
	}
	results := make(chan result, count)
	once := func() {
		begin := time.Now()
		reply, _, err := c.exchange(ctx, password, nil)
		word := "no answer"
		if err == nil {
			word = reply.Code.String()
		}
		results <- result{word, time.Since(begin)}
	}
	begin := time.Now()
	sent := 0
	for i := range count {
		if rate == 0 {
			once()
			sent++
		} else {
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second))))):
				go once()
				sent++
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	words := map[string]int{}
	var took []time.Duration
	for range sent {
		r := <-results
		words[r.word]++
		took = append(took, r.took)
	}
	slices.Sort(took)
	for _, word := range slices.Sorted(mapKeys(words)) {
		fmt.Fprintf(a.out, "%-16s %d\n", word, words[word])
	}
	if len(took) > 0 {
		fmt.Fprintf(a.out, "time             p50 %v, p99 %v, longest %v\n", round(took[len(took)/2]), round(took[len(took)*99/100]), round(took[len(took)-1]))
	}
	fmt.Fprintf(a.out, "rate             %.1f logins/s\n", float64(len(took))/time.Since(begin).Seconds())
	if words[radius.CodeAccessAccept.String()] != count {
		return statusError(1)
	}
	return nil
}

func mapKeys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// printReply shows an answer and its attributes, one a line.
func printReply(w io.Writer, reply *radius.Packet, sent int, took time.Duration) {
	again := ""
	if sent > 1 {
		again = fmt.Sprintf(", sent %d times", sent)
	}
	fmt.Fprintf(w, "%s after %v%s; signatures right\n", reply.Code, round(took), again)
	known := dictionary.New()
	for _, avp := range reply.Attributes {
		for _, line := range attributeText(known, avp) {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
}

// attributeNames are those that a reply carries and no policy sets.
var attributeNames = map[radius.Type]string{rfc2865.State_Type: "State", rfc2865.ProxyState_Type: "Proxy-State",
	rfc2869.MessageAuthenticator_Type: "Message-Authenticator", rfc2869.EAPMessage_Type: "EAP-Message", rfc2869.Prompt_Type: "Prompt"}

// attributeText shows an attribute by the built-in dictionaries, a line for each that a Vendor-Specific one holds, and
// everything else in hexadecimal.
func attributeText(known *dictionary.Dictionary, avp *radius.AVP) []string {
	if lines := known.Describe(uint8(avp.Type), avp.Attribute); lines != nil {
		return lines
	}
	name := cmp.Or(attributeNames[avp.Type], fmt.Sprintf("Attribute %d", avp.Type))
	if avp.Type == rfc2865.State_Type {
		return []string{name + " = " + shownText(string(avp.Attribute))}
	}
	return []string{fmt.Sprintf("%s = 0x%x", name, []byte(avp.Attribute))}
}

// shownText quotes what a server sent, so that no terminal takes orders from it.
func shownText(s string) string { return fmt.Sprintf("%q", s) }

// radiusClient sends what a gateway sends.
type radiusClient struct {
	address, user, method, station string
	secret                         authn.Secret
	retry                          time.Duration
	tries                          int
}

// exchange sends one request, the same octets again until an answer comes that is signed rightly, and gives that answer
// and how often it was sent.
func (c *radiusClient) exchange(ctx context.Context, password string, state []byte) (*radius.Packet, int, error) {
	request, raw, err := c.request(password, state)
	if err != nil {
		return nil, 0, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", c.address)
	if err != nil {
		return nil, 0, fmt.Errorf("reaching %s: %w", c.address, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	distrusted := 0
	buffer := make([]byte, 4096)
	for sent := 1; sent <= c.tries && ctx.Err() == nil; sent++ {
		if _, err := conn.Write(raw); err != nil && sent == c.tries {
			return nil, sent, fmt.Errorf("sending to %s: %w", c.address, err)
		}
		end := time.Now().Add(c.retry)
		_ = conn.SetReadDeadline(end)
		for ctx.Err() == nil {
			n, err := conn.Read(buffer)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			if err != nil { // the port is closed; whoever restarts there may be in time for the next try
				if wait(ctx, time.Until(end)) {
					break
				}
				return nil, sent, ctx.Err()
			}
			reply, err := c.believe(buffer[:n], request)
			if err == nil {
				return reply, sent, nil
			}
			distrusted++
		}
	}
	if ctx.Err() != nil {
		return nil, 0, statusError(1)
	}
	if distrusted > 0 {
		return nil, c.tries, fmt.Errorf("%s answered, but with wrong signatures: the shared secret differs, or somebody else answers", c.address)
	}
	return nil, c.tries, fmt.Errorf("%s does not answer: wrong address or port, this machine is no client there, the shared secret differs, or a firewall is between; the service's log tells which", c.address)
}

// wait reports whether the time passed before the context ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// request makes an Access-Request with Message-Authenticator first, and its octets.
func (c *radiusClient) request(password string, state []byte) (*radius.Packet, []byte, error) {
	p := radius.New(radius.CodeAccessRequest, c.secret.Reveal())
	p.Add(rfc2869.MessageAuthenticator_Type, make([]byte, md5.Size))
	err := rfc2865.UserName_SetString(p, c.user)
	if err != nil {
		return nil, nil, fmt.Errorf("the user name: %w", err)
	}
	if c.method == "chap" {
		challenge := make([]byte, 16)
		_, _ = rand.Read(challenge)
		sum := md5.Sum(append(append([]byte{1}, password...), challenge...))
		p.Add(rfc2865.CHAPPassword_Type, append([]byte{1}, sum[:]...))
		p.Add(rfc2865.CHAPChallenge_Type, challenge)
	} else if err := rfc2865.UserPassword_SetString(p, password); err != nil {
		return nil, nil, fmt.Errorf("the password: %w", err)
	}
	_ = rfc2865.NASIdentifier_SetString(p, "sekisho-test")
	if c.station != "" {
		if err := rfc2865.CallingStationID_SetString(p, c.station); err != nil {
			return nil, nil, fmt.Errorf("the station: %w", err)
		}
	}
	if state != nil {
		if err := rfc2865.State_Set(p, state); err != nil {
			return nil, nil, fmt.Errorf("the state: %w", err)
		}
	}
	raw, err := p.Encode()
	if err != nil {
		return nil, nil, fmt.Errorf("making the request: %w", err)
	}
	copy(raw[22:], c.messageAuthenticator(raw))
	return p, raw, nil
}

// messageAuthenticator is HMAC-MD5 over a packet whose own value is zero (RFC 3579 §3.2).
func (c *radiusClient) messageAuthenticator(raw []byte) []byte {
	mac := hmac.New(md5.New, c.secret.Reveal())
	mac.Write(raw)
	return mac.Sum(nil)
}

// believe checks both signatures of an answer.
func (c *radiusClient) believe(raw []byte, request *radius.Packet) (*radius.Packet, error) {
	encoded, err := request.Encode()
	if err != nil {
		return nil, err
	}
	if !radius.IsAuthenticResponse(raw, encoded, c.secret.Reveal()) {
		return nil, errors.New("the Response Authenticator is wrong")
	}
	reply, err := radius.Parse(raw, c.secret.Reveal())
	if err != nil {
		return nil, err
	}
	want := rfc2869.MessageAuthenticator_Get(reply) // empty where there is none, which equals nothing
	// Over the answer with the request's authenticator in the header and the value itself zero.
	b := slices.Clone(raw)
	copy(b[4:20], request.Authenticator[:])
	for at := 20; at+2 <= len(b) && b[at+1] >= 2; at += int(b[at+1]) {
		if b[at] == byte(rfc2869.MessageAuthenticator_Type) {
			clear(b[at+2 : at+18])
			break
		}
	}
	if !hmac.Equal(c.messageAuthenticator(b), want) {
		return nil, errors.New("the Message-Authenticator is wrong or missing")
	}
	return reply, nil
}
