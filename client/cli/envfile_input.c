/* SPDX-License-Identifier: ISC */
#include "envfile_input.h"

#include <errno.h>
#include <string.h>

#include "output.h"

int envfile_input_read(const struct cli *cli, const char *name, struct input **out_input,
	envfile_visit *visit, void *context)
{
	struct envfile_entry entry;
	struct envfile file;
	enum mortise_status status;

	*out_input = input_new();
	if (*out_input == NULL)
		return output_fail(cli, MORTISE_IO, "out of memory");
	status = input_read(name, *out_input);
	if (status != MORTISE_OK)
		return output_fail(cli, status, "cannot read %s: %s", name,
			status == MORTISE_IO ? strerror(errno) : "it is larger than 65536 bytes");
	envfile_begin(&file, (char *)(*out_input)->bytes, (*out_input)->size);
	while ((status = envfile_next(&file, &entry)) == MORTISE_OK) {
		int ending = visit(context, &entry);

		if (ending != CLI_DONE)
			return ending;
	}
	if (status == MORTISE_NOT_FOUND)
		return CLI_DONE;
	return output_fail(cli, status, "%s:%d: %s", name, file.line, file.wrong);
}
