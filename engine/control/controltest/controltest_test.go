package controltest

import (
	"bufio"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct{ want, got, fault string }{
		{`{"a":1,"b":[true,null,"x"]}`, `{"b":[true,null,"x"],"a":1}`, ""},
		{`{"a":"…"}`, `{"a":"x"}`, ""},
		{`{"a":"…"}`, `{"a":""}`, ".a"},
		{`{"a":"…"}`, `{"a":1}`, ".a"},
		{`{"a":"#"}`, `{"a":1.5}`, ""},
		{`{"a":"#"}`, `{"a":"1"}`, ".a"},
		{`{"a":"[…]"}`, `{"a":[]}`, ""},
		{`{"a":"[…]"}`, `{"a":{}}`, ".a"},
		{`{"a":"{…}"}`, `{"a":{"x":1}}`, ""},
		{`{"a":"{…}"}`, `{"a":null}`, ".a"},
		{`{"a":1}`, `{"a":1,"b":2}`, ".b is not expected"},
		{`{"a":1,"…":"…"}`, `{"a":1,"b":2}`, ""},
		{`{"a":1,"…":"…"}`, `{"b":2}`, ".a is missing"},
		{`{"a":{"b":[1,2]}}`, `{"a":{"b":[1,3]}}`, ".a.b[1]"},
		{`{"a":[1]}`, `{"a":[1,2]}`, ".a has 2 elements"},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, ".a"},
		{`{}`, `nonsense`, "JSON that came"},
		{`nonsense`, `{}`, "expected JSON"},
	} {
		err := Match([]byte(c.want), []byte(c.got))
		if (err == nil) != (c.fault == "") || (err != nil && !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("Match(%s, %s): %v, want %q", c.want, c.got, err, c.fault)
		}
	}
}

const document = "text\n-> {\"not\":\"fenced\"}\n```\n-> {\"id\":1}\n<- {\"id\":1,\"x\":\"#\"}\n<- {\"method\":\"event\"}\n```\n" +
	"```json\nother text\n-> {\"id\":2,\"method\":\"m\",\"params\":{\"room\":\"r\",\"peer\":\"p\",\"sdp\":\"<offer>\"}}\n<- {\"id\":2}\n```\n"

func TestExamples(t *testing.T) {
	got, err := Examples(document)
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{
		{4, `{"id":1}`, []string{`{"id":1,"x":"#"}`, `{"method":"event"}`}},
		{10, `{"id":2,"method":"m","params":{"room":"r","peer":"p","sdp":"<offer>"}}`, []string{`{"id":2}`}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"```\n<- {}\n```", "```\n-> {}\n```", "```\n-> {\n<- {}\n```"} {
		if _, err := Examples(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestReplay plays the document against scripted servers.
func TestReplay(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers [2][]string
		fault   string
	}{
		{"as written", [2][]string{{`{"id":1,"x":5}`, `{"method":"event"}`}, {`{"id":2}`}}, ""},
		{"the event first", [2][]string{{`{"method":"event"}`, `{"id":1,"x":5}`}, {`{"id":2}`}}, ""},
		{"another answer", [2][]string{{`{"id":1,"x":"5"}`, `{"method":"event"}`}, {`{"id":2}`}}, "line 4"},
		{"two events", [2][]string{{`{"method":"event"}`, `{"method":"event"}`}, {`{"id":2}`}}, "unexpected"},
		{"silence", [2][]string{{`{"id":1,"x":5}`}, {}}, "does not come"},
	} {
		examples, err := Examples(document)
		if err != nil {
			t.Fatal(err)
		}
		client, server := net.Pipe()
		requests := make(chan string, 2)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer server.Close()
			in := bufio.NewReader(server)
			for _, lines := range c.answers {
				request, err := in.ReadString('\n')
				if err != nil {
					return
				}
				requests <- request
				for _, l := range lines {
					fmt.Fprintln(server, l)
				}
				if len(lines) == 1 && c.fault == "does not come" {
					return
				}
			}
		}()
		err = Replay(client, examples, func(method, room, peer string) string { return method + " v=0 " + room + peer })
		client.Close()
		<-ended
		if (err == nil) != (c.fault == "") || (err != nil && !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.fault)
		}
		if <-requests; c.fault == "" {
			if got, want := <-requests, `{"id":2,"method":"m","params":{"room":"r","peer":"p","sdp":"m v=0 rp"}}`+"\n"; got != want {
				t.Errorf("%s: the second request is %s", c.name, got)
			}
		}
	}
}
