/* SPDX-License-Identifier: ISC */
/*
 * get PATH: prints the current version of a secret, byte for byte.
 *	cc get.c $(pkg-config --cflags --libs libmortise) -o get
 */
#include <mortise.h>
#include <stdio.h>

static enum mortise_status print_secret(struct mortise *agent, const char *path)
{
	static char value[MORTISE_VALUE_MAX];
	enum mortise_status status;
	size_t size;

	status = mortise_get(agent, path, value, sizeof value, &size);
	if (status == MORTISE_OK && fwrite(value, 1, size, stdout) != size)
		status = MORTISE_IO;
	mortise_wipe(value, sizeof value);
	return status;
}

int main(int argc, char **argv)
{
	struct mortise *agent = NULL;
	enum mortise_status status;

	if (argc != 2) {
		fputs("usage: get PATH\n", stderr);
		return MORTISE_INVALID;
	}
	setvbuf(stdout, NULL, _IONBF, 0); /* a buffer would keep a copy */
	status = mortise_open(NULL, &agent);
	if (status == MORTISE_OK)
		status = print_secret(agent, argv[1]);
	if (status != MORTISE_OK)
		fprintf(stderr, "get: %s: %s\n", mortise_status_text(status),
			agent != NULL ? mortise_message(agent) : "out of memory");
	mortise_close(agent);
	return (int)status;
}
