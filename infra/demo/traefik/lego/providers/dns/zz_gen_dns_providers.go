// Package dns of a Traefik that proves its domains by HTTP alone: the clients of DNS providers would be compiled for nobody.
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
)

// NewDNSChallengeProviderByName refuses every provider by its name.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("this build of Traefik has no DNS provider: %s", name)
}
