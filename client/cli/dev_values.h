/* SPDX-License-Identifier: ISC */
/* dev_values: a .env file as secrets of the environment dev: DB_PASSWORD is dev/db-password. */
#ifndef MORTISE_CLI_DEV_VALUES_H
#define MORTISE_CLI_DEV_VALUES_H

#include "input.h"

#define DEV_ENVIRONMENT "dev"

struct dev_value {
	char path[MORTISE_PATH_MAX + 1];
	const char *text; /* in input */
	int line;
};

struct dev_values {
	struct dev_value *list;
	size_t count;
	struct input *input;
};

/* values starts zeroed. CLI_DONE, or an exit status after the error. */
int dev_values_read(const struct cli *cli, const char *name, struct dev_values *values);

/* Wipes. */
void dev_values_done(struct dev_values *values);

#endif
