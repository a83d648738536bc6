package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newLog(&out, slog.LevelInfo)
	const s = "s3cretS3cretS3cretS3cret"
	log.Info("https://example.org/?ticket="+s+"&x=1", "password", s, "Cookie", s)
	log.With("secret", s).WithGroup("of").Warn("a", "authorization", "Bearer "+s, "text", "Authorization: Bearer "+s)
	log.Error("b", "error", errors.New("dial postgres://user:"+s+"@db/x: refused"), "token", "sbx_"+s)
	log.Error("c", "error", errors.New(`Get "https://id.example.org/cb?code=`+s+`&state=x": EOF`), "xml", "<graphics passwd='"+s+"'/>")
	log.Error("d", "any", struct{ URL string }{"client_secret=" + s})
	text := out.String()
	if strings.Contains(text, s) {
		t.Errorf("the log holds the secret:\n%s", text)
	}
	for _, kept := range []string{"x=1", "postgres://user:[redacted]@db/x: refused", "state=x", "level=ERROR", "<graphics passwd="} {
		if !strings.Contains(text, kept) {
			t.Errorf("the log lacks %q:\n%s", kept, text)
		}
	}
	out.Reset()
	log.Info("request", "code", "node_not_found", "token", "0198c0de-0000-7000-8000-000000000000", "path", "/api/auth/login", "error", "virError(Code=38, Domain=38)")
	if text := out.String(); strings.Contains(text, redacted) {
		t.Errorf("what is not a secret is taken out: %s", text)
	}
}
