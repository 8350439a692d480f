/* SPDX-License-Identifier: ISC */
/*
 * audit_verdict KEY < LOG: what the agent's own check says of a log, in one line. For tests that
 * hold another verifier against it.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"

#define LOG_MAX (1024 * 1024)

static enum mortise_status check_all(struct audit_check *check, const uint8_t *log, size_t size)
{
	TRY(audit_check_feed(check, log, size));
	return audit_check_end(check, NULL);
}

int main(int argc, char **argv)
{
	static uint8_t log[LOG_MAX];
	struct audit_check *check = NULL;
	uint8_t key[32];
	size_t key_size = 0, size = fread(log, 1, sizeof log, stdin);

	if (argc != 2 ||
		sodium_hex2bin(key, sizeof key, argv[1], strlen(argv[1]), NULL, &key_size, NULL) !=
			0 ||
		key_size != sizeof key || audit_check_new(key, &check) != MORTISE_OK)
		return 2;
	if (check_all(check, log, size) == MORTISE_OK)
		printf("intact: %llu lines, %llu checkpoints\n",
			(unsigned long long)audit_check_lines(check),
			(unsigned long long)audit_check_checkpoints(check));
	else
		printf("%s\n", audit_check_complaint(check));
	audit_check_free(check);
	return 0;
}
