package tenant

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// probeTimeout bounds one try of an endpoint. A container that needs longer to answer is tried again.
const probeTimeout = 3 * time.Second

// maxProbeBytes is how much of an answer is read.
const maxProbeBytes = 64 << 10

// Prober tries endpoints from where the tenant is.
type Prober interface {
	// Probe is nil when the endpoint answers. The path is for HTTP.
	Probe(ctx context.Context, endpoint leasetypes.Endpoint, path string) error
}

// netProber tries endpoints over the network.
type netProber struct {
	http   *http.Client
	dialer *net.Dialer
}

// NewProber tries HTTP endpoints with a GET, which any status below 500 answers, and TCP endpoints with a connection. UDP
// endpoints cannot be tried and count as answering.
func NewProber() Prober {
	return &netProber{
		dialer: &net.Dialer{},
		http: &http.Client{
			// A redirect is an answer, and where it leads is not for a probe to follow.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{DisableKeepAlives: true},
		},
	}
}

func (p *netProber) Probe(ctx context.Context, endpoint leasetypes.Endpoint, path string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	switch endpoint.Protocol {
	case uaitypes.ProtocolHTTP:
		return p.get(ctx, URL(endpoint)+strings.TrimPrefix(path, "/"))
	case uaitypes.ProtocolTCP:
		conn, err := p.dialer.DialContext(ctx, "tcp", endpoint.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	default:
		return nil
	}
}

func (p *netProber) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxProbeBytes)); err != nil {
		return fmt.Errorf("%s: reading the answer: %w", url, err)
	}
	if res.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}

// URL is an endpoint as a person or a program opens it: "http://203.0.113.7:31000/", "tcp://203.0.113.7:31001".
func URL(endpoint leasetypes.Endpoint) string {
	url := endpoint.Protocol + "://" + endpoint.Address
	if endpoint.Protocol == uaitypes.ProtocolHTTP {
		url += "/"
	}
	return url
}
