package action

import "net/http"

// TransportOf is for tests that connect a client in their own way.
func TransportOf(c *http.Client) *http.Transport { return c.Transport.(*transport).current }
