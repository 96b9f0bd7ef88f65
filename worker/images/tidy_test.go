package images_test

import (
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/images"
)

func TestWhatIsNeededNoLongerGoesInItsTime(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	const subject = "image/isun1owner/app:1"
	sealedDir, plain := layout(t, "private")
	sealed, err := uai.Encrypt(t.Context(), sealedDir, uai.Digest(plain), key.Recipient(), "")
	require.NoError(t, err)
	openDir, open := layout(t, "open")
	engine := newFakeEngine()
	s := newStore(t, engine, images.Config{Layouts: []string{sealedDir, openDir}, Keys: keyring{subject: key}})
	private, err := s.Resolve(t.Context(), images.Request{Digest: sealed.String(), Subject: subject})
	require.NoError(t, err)
	public, err := s.Resolve(t.Context(), images.Request{Digest: open})
	require.NoError(t, err)

	now := time.Minute
	tidier := images.NewTidier(s, time.Hour, func() time.Duration { return now })
	tidy := func(needed ...string) {
		t.Helper()
		set := map[string]bool{}
		for _, digest := range needed {
			set[digest] = true
		}
		require.NoError(t, tidier.Tidy(t.Context(), set))
	}
	tidy(sealed.String(), open)
	require.Contains(t, engine.byName, private.Ref)
	now += 10 * time.Hour
	tidy(open)
	require.NotContains(t, engine.byName, private.Ref, "it lay there decrypted")
	require.Contains(t, engine.byName, public.Ref)

	tidy() // from now on it is spare
	now += 59 * time.Minute
	tidy(open) // needed again
	now += 59 * time.Minute
	tidy()
	require.Contains(t, engine.byName, public.Ref, "the time begins anew")
	now += time.Hour
	tidy()
	require.NotContains(t, engine.byName, public.Ref)

	// Another worker of this machine has loaded it meanwhile, by the same name.
	engine.byName[private.Ref] = "sha256:another's"
	again, err := s.Resolve(t.Context(), images.Request{Digest: sealed.String(), Subject: subject})
	require.NoError(t, err)
	require.Contains(t, engine.byName, again.ID, "it comes back with its key")
	engine.byName[again.Ref] = "sha256:another's"
	tidy()
	require.NotContains(t, engine.byName, again.ID)
	require.Equal(t, "sha256:another's", engine.byName[again.Ref])
}
