/* examples/vdi/spikes_neurons.h - neurons and their rows, and shares of them */
#ifndef SPIKES_NEURONS_H
#define SPIKES_NEURONS_H
#include "spikes.h"

/* --trials: the neuron of each row; NULL: rows are neurons, and of three axes the second is trials.
 * Messages are printed. */
bool neurons_read(const char *trials, const trace_source *in, neuron_list *out);
/* only neurons [from, to) */
void neurons_keep(const trace_source *in, int64_t from, int64_t to, neuron_list *l);
void neurons_free(neuron_list *l);
/* --shard i/n of `count` things; false with a message */
bool shard_range(const char *text, int64_t count, int64_t *from, int64_t *to);

#endif
