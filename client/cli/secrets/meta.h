/* SPDX-License-Identifier: ISC */
/* meta: what SHOW says about a secret beside its versions, for people and as JSON. */
#ifndef MORTISE_CLI_META_H
#define MORTISE_CLI_META_H

#include <jansson.h>

#include "wire.h"

/* A line for each thing that is said. */
void metadata_print(const struct wire_message *reply);
/* Into an object; NULL is allowed. */
void metadata_put(const struct wire_message *reply, json_t *object);

#endif
