#include "cli/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define PORT_USUAL 8080
#define PORT_OTHER 8081

/* Whether our port comes from the name PORT: of the environment, which `run` leaves to its child, or of a file. */
static int port_is_the_platforms(const struct config *c)
{
    return strcmp(c->origins[CONFIG_ID_port].name, "PORT") == 0;
}

int address_for_serve(struct config *c, struct error *e)
{
    const char *port = getenv("PORT");
    if (c->origins[CONFIG_ID_bind].source != CONFIG_FROM_DEFAULT || (!port_is_the_platforms(c) && !(port && *port)))
        return 0;
    char *everyone = strdup("0.0.0.0");
    if (!everyone)
        return error_set(e, -ENOMEM, "out of memory");
    free(c->bind);
    c->bind = everyone;
    return 0;
}

int address_for_run(struct config *c, int *ret_chosen, struct error *e)
{
    const struct config_origin *port = &c->origins[CONFIG_ID_port];
    const char *childs = getenv("PORT");
    int childs_port = childs ? (int)strtol(childs, NULL, 10) : 0;
    if (port->source != CONFIG_FROM_DEFAULT && !port_is_the_platforms(c)) {
        *ret_chosen = 0;
        if (c->port && c->port == childs_port)
            return error_set(
                e, -EINVAL,
                "PERDURA_PORT and PORT are both %d, but under `run` PORT is the app's: set PERDURA_PORT to "
                "another one",
                c->port);
        return 0;
    }
    *ret_chosen = c->origins[CONFIG_ID_bind].source == CONFIG_FROM_DEFAULT;
    c->port = childs_port == PORT_USUAL ? PORT_OTHER : PORT_USUAL;
    return 0;
}

const char *address_url(char dst[ADDRESS_URL_SIZE], const struct config *c, int port)
{
    const char *open = strchr(c->bind, ':') ? "[" : "", *close = *open ? "]" : "";
    snprintf(dst, ADDRESS_URL_SIZE, "http://%s%.200s%s:%d", open, c->bind, close, port);
    return dst;
}
