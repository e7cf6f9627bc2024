/* examples/vdi/spikes_quality.h - what is unusual about the traces of a run */
#ifndef SPIKES_QUALITY_H
#define SPIKES_QUALITY_H
#include "spikes.h"

/* columns of inference.quality, and of quality.csv behind "neuron" */
int quality_columns(void);
const char *quality_name(int column);
/* what it means where quality_flagged */
const char *quality_meaning(int column);
bool quality_flagged(const inference *q, int64_t neuron, int column);
/* of the neurons of the part at hand; false with a message */
bool quality_measure(run *r, inference *q);
/* a warning for each kind, and one of the frame rate; returns how many neurons have a flag */
int64_t quality_tell(const inference *q);
/* quality.csv */
bool quality_save(const run *r, const inference *q);

#endif
