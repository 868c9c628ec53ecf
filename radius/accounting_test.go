package radius

import (
	"net/netip"
	"testing"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"
)

func acctPacket(t testing.TB, id byte, change func(p *layeh.Packet)) []byte {
	t.Helper()
	p := layeh.New(layeh.CodeAccountingRequest, []byte(testSecret))
	p.Identifier = id
	must(rfc2866.AcctStatusType_Set(p, rfc2866.AcctStatusType_Value_Stop))
	must(rfc2866.AcctSessionID_SetString(p, "5f00aa"))
	change(p)
	return unsigned(p)
}

func TestAccounting(t *testing.T) {
	r := newRig(t, nil)
	event := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	b := acctPacket(t, 5, func(p *layeh.Packet) {
		must(rfc2865.UserName_SetString(p, "nemo"))
		must(rfc2865.NASIdentifier_SetString(p, "gate-1"))
		must(rfc2865.CallingStationID_SetString(p, "198.51.100.7"))
		must(rfc2865.FramedIPAddress_Set(p, []byte{10, 0, 0, 9}))
		must(rfc2866.AcctSessionTime_Set(p, 3600))
		must(rfc2869.AcctInputGigawords_Set(p, 2))
		must(rfc2866.AcctInputOctets_Set(p, 5))
		must(rfc2866.AcctOutputOctets_Set(p, 7))
		must(rfc2869.AcctOutputGigawords_Set(p, 1))
		must(rfc2866.AcctTerminateCause_Set(p, rfc2866.AcctTerminateCause_Value_UserRequest))
		must(rfc2866.AcctDelayTime_Set(p, 9))
		must(rfc2869.EventTimestamp_Set(p, event))
		p.Add(attrProxyState, []byte("one"))
		p.Add(250, []byte("kept"))
		p.Add(attrProxyState, []byte("two"))
	})
	got := r.deliver(acctPort, b)
	if len(got) != 1 {
		t.Fatalf("%d answers: %s", len(got), r.log)
	}
	reply := checkReply(t, b, got[0], testSecret, AccountingResponse)
	if len(reply.Attributes) != 2 || string(reply.Attributes[0].Attribute) != "one" || string(reply.Attributes[1].Attribute) != "two" {
		t.Errorf("Proxy-State is not copied in order: %v", reply.Attributes)
	}
	s := r.store.saved[0]
	if s.NAS != "gate-1" || s.Client != "fw1" || s.ID != "5f00aa" || s.Status != 2 || !s.At.Equal(event) || string(s.Name) != "nemo" ||
		string(s.Station) != "198.51.100.7" || s.Framed != netip.MustParseAddr("10.0.0.9") || s.Seconds != 3600 ||
		s.In != 2<<32+5 || s.Out != 1<<32+7 || s.Cause != 1 || string(s.Raw) != string(b[headerLen:]) {
		t.Errorf("saved %+v", s)
	}
	if again := r.deliver(acctPort, b); len(again) != 1 || string(again[0]) != string(got[0]) || len(r.store.saved) != 1 {
		t.Errorf("a repetition got %d answers and %d records", len(again), len(r.store.saved))
	}
}

func TestAccountingNames(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(acctPort, acctPacket(t, 1, func(p *layeh.Packet) { must(rfc2865.NASIPAddress_Set(p, []byte{10, 9, 8, 7})) }))
	r.deliver(acctPort, acctPacket(t, 2, func(p *layeh.Packet) { must(rfc2866.AcctDelayTime_Set(p, 90)) }))
	if s := r.store.saved[0]; s.NAS != "10.9.8.7" {
		t.Errorf("NAS %q", s.NAS)
	}
	s := r.store.saved[1]
	if s.NAS != "192.0.2.1" {
		t.Errorf("NAS %q", s.NAS)
	}
	if d := s.Received.Sub(s.At); d < 90*time.Second || d > 91*time.Second {
		t.Errorf("the event lies %v before the receipt", d)
	}
}

func TestAccountingFaults(t *testing.T) {
	for name, change := range map[string]func(p *layeh.Packet){
		"no status":  func(p *layeh.Packet) { p.Del(attrAcctStatusType) },
		"no session": func(p *layeh.Packet) { p.Del(attrAcctSessionID) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.none(acctPort, acctPacket(t, 1, change))
			r.wantFault(faultAccounting)
		})
	}
	t.Run("On needs no session", func(t *testing.T) {
		r := newRig(t, nil)
		b := acctPacket(t, 1, func(p *layeh.Packet) {
			p.Del(attrAcctSessionID)
			must(rfc2866.AcctStatusType_Set(p, rfc2866.AcctStatusType_Value_AccountingOn))
		})
		if len(r.deliver(acctPort, b)) != 1 {
			t.Error("no answer")
		}
	})
	b := acctPacket(t, 1, func(*layeh.Packet) {})
	t.Run("busy", func(t *testing.T) {
		r := newRig(t, nil)
		r.store.busy = true
		r.none(acctPort, b)
		r.wantFault(faultUnsaved)
		r.store.busy = false
		if len(r.deliver(acctPort, b)) != 1 {
			t.Error("the repetition was not worked on")
		}
		if n := r.records.held(); n != 0 {
			t.Errorf("%d places are still held", n)
		}
	})
	t.Run("only when durable", func(t *testing.T) {
		r := newRig(t, nil)
		r.store.hold = true
		r.none(acctPort, b)
		r.none(acctPort, b) // still worked on
		if len(r.store.dones) != 1 {
			t.Fatalf("%d records", len(r.store.dones))
		}
		r.store.dones[0](errTest)
		if len(r.out.all()) != 0 {
			t.Error("a record that was not saved was acknowledged")
		}
		r.none(acctPort, b)
		r.store.dones[1](nil)
		if len(r.out.all()) != 1 {
			t.Error("a saved record was not acknowledged")
		}
	})
}
