package authn

import (
	"strings"
	"testing"
	"time"
)

func TestMessageClaim(t *testing.T) {
	now := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	waiting := Message{State: MessageWaiting, Due: now, Until: now.Add(time.Hour), Fields: map[string]string{"link": "x"}}
	for _, c := range []struct {
		name   string
		change func(*Message)
		ok     bool
		state  MessageState
	}{
		{"due", func(*Message) {}, true, MessageSending},
		{"too early", func(m *Message) { m.Due = now.Add(time.Nanosecond) }, false, MessageWaiting},
		{"too late", func(m *Message) { m.Until = now }, false, MessageLapsed},
		{"no end", func(m *Message) { m.Until = time.Time{} }, true, MessageSending},
		{"under way", func(m *Message) { m.State = MessageSending }, false, MessageSending},
		{"sent", func(m *Message) { m.State = MessageSent }, false, MessageSent},
		{"unknown", func(m *Message) { m.State = MessageUnknown }, false, MessageUnknown},
		{"held", func(m *Message) { m.State = MessageHeld }, false, MessageHeld},
	} {
		m := waiting
		c.change(&m)
		got, ok := m.Claim(now)
		if ok != c.ok || got.State != c.state {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, ok, got.State, c.ok, c.state)
		}
		if ok && got.Tries != 1 {
			t.Errorf("%s: %d tries, want 1", c.name, got.Tries)
		}
		if got.State == MessageLapsed && got.Fields != nil {
			t.Errorf("%s: a lapsed message kept its fields", c.name)
		}
	}
}

func TestMessagePostponed(t *testing.T) {
	begin := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	m := Message{State: MessageWaiting, Due: begin, Until: begin.Add(24 * time.Hour)}
	now := begin
	var waits []time.Duration
	for m.State == MessageWaiting && len(waits) < 100 {
		now = m.Due
		claimed, ok := m.Claim(now)
		if !ok {
			m = claimed
			break
		}
		m = claimed.Postponed("451 try later", now)
		if m.State == MessageWaiting {
			waits = append(waits, m.Due.Sub(now))
		}
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	for i, w := range want {
		if waits[i] != w*time.Minute {
			t.Errorf("wait %d: %v, want %v", i+1, waits[i], w*time.Minute)
		}
	}
	if m.State != MessageLapsed || m.Answer != "451 try later" {
		t.Errorf("at the end: %v %q, want lapsed with the last answer", m.State, m.Answer)
	}
	if now.After(m.Until) {
		t.Errorf("still tried at %v, after %v", now, m.Until)
	}
}

func TestMessageAgain(t *testing.T) {
	now := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	fields := map[string]string{"name": "x"}
	for _, c := range []struct {
		m    Message
		code string
	}{
		{Message{State: MessageSent}, "mail-sent"},
		{Message{State: MessageWithdrawn, Fields: fields}, "mail-void"},
		{Message{State: MessageLapsed}, "mail-void"},
		{Message{State: MessageSending, Fields: fields}, "mail-under-way"},
		{Message{State: MessageUnknown, Fields: fields, Until: now}, "mail-late"},
		{Message{State: MessageUnknown, Fields: fields, Until: now.Add(1)}, ""},
		{Message{State: MessageRefused, Fields: fields}, ""},
		{Message{State: MessageHeld, Fields: fields}, ""},
		{Message{State: MessageWaiting, Fields: fields, Tries: 7}, ""},
	} {
		got, no := c.m.Again(now)
		switch {
		case c.code != "" && (no == nil || no.Code != c.code):
			t.Errorf("%v: %v, want %s", c.m.State, no, c.code)
		case c.code == "" && (no != nil || got.State != MessageWaiting || got.Tries != 0 || got.Due != now):
			t.Errorf("%v: %+v, %v; want it to wait from now", c.m.State, got, no)
		}
	}
}

func TestMessageEnds(t *testing.T) {
	now := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	m := Message{State: MessageSending, Fields: map[string]string{"link": "secret"}, Tries: 1}
	long := strings.Repeat("x", 5000)
	if got := m.Accepted(long, now); got.State != MessageSent || got.Fields != nil || len(got.Answer) != messageAnswer {
		t.Errorf("accepted: %v, fields %v, answer of %d", got.State, got.Fields, len(got.Answer))
	}
	if got := m.Uncertain("", now); got.State != MessageUnknown || got.Fields == nil {
		t.Errorf("uncertain: %v, fields %v; a person may still send it", got.State, got.Fields)
	}
	if got := m.Withdrawn(now); got.State != MessageSending {
		t.Errorf("withdrawn while under way: %v", got.State)
	}
	m.State = MessageWaiting
	if got := m.Withdrawn(now); got.State != MessageWithdrawn || got.Fields != nil {
		t.Errorf("withdrawn: %v, fields %v", got.State, got.Fields)
	}
}
