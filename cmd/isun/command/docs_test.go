package command_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/cmd/isun/command"
)

// page is what tenants read.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/tenants.md")
	require.NoError(t, err)
	return string(text)
}

// keys collects the names of a JSON document's fields; those of env are the tenant's own.
func keys(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			into[name] = true
			if name != "env" {
				keys(value, into)
			}
		}
	case []any:
		for _, value := range v {
			keys(value, into)
		}
	}
}

func TestEveryFieldIsDocumented(t *testing.T) {
	text := page(t)
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	names := make(map[string]bool)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var document any
		require.NoError(t, json.Unmarshal(raw, &document), file)
		keys(document, names)
	}
	for name := range names {
		require.Contains(t, text, "`"+name+"`", "field %s", name)
	}
}

var (
	commandLine  = regexp.MustCompile(`(?m)^    (isun .*)$`)
	quotedOrWord = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
)

// TestEveryDocumentedCommandExists parses each line of the pages that is a command of isun.
func TestEveryDocumentedCommandExists(t *testing.T) {
	format, err := os.ReadFile("../../../docs/uai.md")
	require.NoError(t, err)
	lines := commandLine.FindAllStringSubmatch(page(t)+string(format), -1)
	require.Greater(t, len(lines), 20)
	for _, match := range lines {
		words := quotedOrWord.FindAllString(match[1], -1)
		for i := range words {
			words[i] = strings.Trim(words[i], `"'`)
		}
		cmd, args, err := command.Root(command.Streams{Now: time.Now}).Find(words[1:])
		require.NoError(t, err, match[1])
		require.True(t, cmd.Runnable(), match[1])
		require.NoError(t, cmd.ParseFlags(args), match[1])
		require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()), match[1])
	}
}
