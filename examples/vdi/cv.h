/* examples/vdi/cv.h - cross-validation: what its jobs are asked, and what they tell */
#ifndef TOOL_CV_H
#define TOOL_CV_H
#include "vilds.h"

typedef struct cv_options {
    const char *dims, *shard, *resume;
    int64_t folds;
    int64_t iters;         /* lds, plds */
    bool diagonal_r;       /* lds */
    vilds_fit_options fit; /* flds: its model and em */
    int64_t refine;        /* flds */
    observation_options y;
} cv_options;

/* What a job tells: nats per bin, bits per spike (NaN where there are none), bins. */
enum { JOB_D, JOB_FOLD, JOB_SCORE, JOB_LNO, JOB_BINS, JOB_COLUMNS };

/* Fits d latents to `train` and scores `test` into `job`; messages are printed. What it leaves is
 * of no use if the run was interrupted. */
typedef bool cv_job_fn(run *r, const cv_options *want, int64_t d, observations *train,
                       observations *test, double *job);

/* cv_jobs.c */
cv_job_fn cv_lds_job, cv_plds_job, cv_flds_job;

#endif
