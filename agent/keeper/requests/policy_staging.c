/* SPDX-License-Identifier: ISC */
#include "policy_staging.h"

#include <stdlib.h>

void policy_staging_free(struct policy_staging *staging)
{
	if (!staging)
		return;
	for (size_t i = 0; i < staging->in.count; i++)
		free(staging->texts[i]);
	free(staging->record);
	free(staging);
}
