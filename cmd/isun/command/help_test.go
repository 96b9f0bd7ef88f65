package command_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/cmd/isun/command"
)

// everyCommand visits the tree of commands.
func everyCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		everyCommand(sub, visit)
	}
}

func TestHelp(t *testing.T) {
	root := command.Root(command.Streams{Now: time.Now})
	var names []string
	everyCommand(root, func(cmd *cobra.Command) { names = append(names, cmd.CommandPath()) })
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			args := append(strings.Fields(name)[1:], "--help")
			require.Zero(t, command.Run(t.Context(), command.Streams{Out: &out, Err: &out, Now: time.Now}, args), out.String())
			golden(t, "help/"+strings.ReplaceAll(name, " ", "-")+".txt", out.String())
		})
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	everyCommand(command.Root(command.Streams{Now: time.Now}), func(cmd *cobra.Command) {
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		if cmd.Runnable() && cmd.Name() != "version" {
			require.NotEmpty(t, cmd.Example, cmd.CommandPath())
		}
	})
}

func TestCompletion(t *testing.T) {
	b := newBench(t)
	b.run("deploy", "hello:1", "--yes").ok()
	require.Contains(t, b.run("completion", "bash").ok().out, "__start_isun")
	require.Contains(t, b.run("__complete", "inspect", "").ok().out, "1\tactive, isun1")
	require.Contains(t, b.run("__complete", "deploy", "").ok().out, "hello:1\n")
	require.Contains(t, b.run("__complete", "ps", "--output", "").ok().out, "json\n")
}
