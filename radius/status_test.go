package radius

import (
	"testing"

	"sekisho/authn"
)

func statusPacket(id byte) []byte {
	b := append([]byte{12, id, 0, 20}, make([]byte, 16)...)
	return sign(rawAttr(rawAttr(b, attrMessageAuth, make([]byte, 16)), attrProxyState, []byte("p")), testSecret, headerLen+2)
}

func TestStatusServer(t *testing.T) {
	r := newRig(t, nil)
	b := statusPacket(1)
	reply := checkReply(t, b, r.one(b), testSecret, AccessAccept)
	if p := reply.Get(attrProxyState); string(p) != "p" {
		t.Errorf("Proxy-State %q", p)
	}
	got := r.deliver(acctPort, b)
	checkReply(t, b, got[0], testSecret, AccountingResponse)
	if len(r.cache.entries) != 0 || len(r.auth.seen()) != 0 {
		t.Error("a question left traces")
	}

	r.Healthy = func() bool { return false }
	r.none(authPort, b)
	r.wantFault(faultUnhealthy)

	r = newRig(t, nil)
	for range 100 {
		r.deliver(authPort, b)
	}
	if n := len(r.out.all()); n < 20 || n > 30 {
		t.Errorf("%d of 100 questions at once were answered", n)
	}

	no := false
	c := gatewayConfig()
	c.StatusServer = &no
	r = newRig(t, nil, c)
	r.none(authPort, b)
	r.wantFault(faultCode)

	c = gatewayConfig()
	c.NextSecret, c.Secret = c.Secret, authn.NewSecret([]byte("an older secret, still in use"))
	r = newRig(t, nil, c)
	checkReply(t, b, r.one(b), testSecret, AccessAccept)
}
