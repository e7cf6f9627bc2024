/* The names that the "Do this" examples of the headers take as given; scripts/snippets.sh puts
 * EXAMPLE_<layer> and EXAMPLE_<layer>_<file> before it. */
#include "vdi.h"
#include <stdio.h>

extern vdi_error err;
extern uint64_t seed;
extern int64_t T, d, trials;
extern size_t m, n, k, in, out, rows, cols, batch, cin, cout, width, pad_left, size, rhs, H;
#ifdef EXAMPLE_kernel_gemm
extern float B[];
#else
extern size_t B;
#endif
extern bool reverse;
#ifdef EXAMPLE_io_zip
extern char text[100];
#else
extern const char *text;
#endif

#if defined(EXAMPLE_core)
extern void *user;
extern vdi_job_fn job;
extern vdi_sacd *agent;
#ifdef EXAMPLE_core_ranks
bool add(double *values, int64_t n, void *user);
extern int64_t from, to;
extern double values[];
#endif
#elif defined(EXAMPLE_kernel)
extern float x[], y[], w[], bias[], A[], C[], W[], xp[], w_hh[], b_hh[], h[], h0[], work[], gates[];
extern vdi_tensor a, b, c;
#elif defined(EXAMPLE_linalg)
extern double A[], X[], D[], E[], h[], x[], eps[], z[], S[], O[], values[], vectors[], work[];
#ifdef EXAMPLE_linalg_blocktri_adjoint
extern vdi_blocktri_desc desc;
extern vdi_blocktri bt;
extern double ldbar[], Dbar[], Ebar[];
#endif
#ifdef EXAMPLE_linalg_quadrature
extern double W[], w[], y[], mean[], variance[], log_p[];
#endif
#elif defined(EXAMPLE_grad)
extern vdi_tape *t;
extern vdi_params *params;
extern vdi_optim *optim;
extern vdi_tensor inputs, targets;
extern vdi_var D, E, h, eps, y, w, b, a, v, log_rate, prediction, target, gamma, spikes, parts[3];
#ifdef EXAMPLE_grad_check
extern vdi_tensor x;
#else
extern vdi_var x;
#endif
#elif defined(EXAMPLE_model)
#ifdef EXAMPLE_model_score_latents
extern double x[], reference[], rotation[], aligned[], per_latent[], position[], decoded[];
extern double r2, shared;
#endif
#ifdef EXAMPLE_model_calcium
extern vdi_tape *t;
extern vdi_rng rng;
extern double spikes[];
extern vdi_var s, theta, f_var;
#endif
#ifdef EXAMPLE_model_oasis
extern float *trace, *calcium, *spikes;
#endif
#ifdef EXAMPLE_model_score_spikes
extern int64_t frames, spikes;
extern double fps, *estimate, *times;
#endif
#ifdef EXAMPLE_model_pretrained_quality
extern int64_t frames;
extern float *trace;
#endif
#ifdef EXAMPLE_model_pretrained_stream
extern const vdi_pretrained *net;
extern double *first, frame;
#endif
#ifdef EXAMPLE_model_pretrained
extern const vdi_pretrained_weights vdi_pretrained_shipped;
extern int64_t frames;
extern float *trace, *spikes;
#endif
extern vdi_lds *lds;
#if defined(EXAMPLE_model_deepspike) || defined(EXAMPLE_model_deepspike_train) || \
    defined(EXAMPLE_model_deepspike_infer)
extern vdi_calcium_desc calcium;
extern vdi_deepspike *net;
extern vdi_deepspike_data *data;
extern float *f, frame, probability;
extern double *spikes;
extern unsigned char *trains;
extern int64_t cells;
#elif defined(EXAMPLE_model_vilds_train) || defined(EXAMPLE_model_vilds_infer) ||     \
    defined(EXAMPLE_model_vilds_predict) || defined(EXAMPLE_model_vilds_canonical) || \
    defined(EXAMPLE_model_vilds_flds)
extern vdi_vilds *model;
extern vdi_vilds_data *data;
extern vdi_score_bits bits;
extern double *elbo, *log_prob, *constant;
#elif defined(EXAMPLE_model_vilds_particle) || defined(EXAMPLE_model_vilds_variational_em)
enum { TRIALS = 8 };
extern vdi_vilds_desc desc;
extern vdi_vilds_data_desc dd;
extern vdi_vilds *model;
extern vdi_vilds_data *data, *fresh;
extern vdi_vilds_result result;
extern double elbo;
#else
extern vdi_lds_data *data;
#endif
#ifdef EXAMPLE_model_vilds_joint
extern vdi_tape *t;
extern const vdi_trial_info *info;
extern vdi_var log_p_of_y, log_p_of_z, mask;
#endif
#ifdef EXAMPLE_model_lds_ties
extern vdi_lds_desc desc;
#endif
#ifdef EXAMPLE_model_lds_predict
extern double *y_mean, *y_var, *e;
#endif
#if defined(EXAMPLE_model_vilds_prior) || defined(EXAMPLE_model_vilds_posterior)
extern vdi_tape *t;
extern vdi_lds_vars prior;
extern vdi_trial_info info;
extern vdi_var q, z, none, encoded;
#else
extern double *z;
#endif
#ifdef EXAMPLE_model_vilds
extern uint8_t *counts;
#endif
extern double *y, *work, *means, *mean, *cov, log_likelihood;
#if defined(EXAMPLE_model_plds) || defined(EXAMPLE_model_plds_posterior) ||      \
    defined(EXAMPLE_model_plds_em) || defined(EXAMPLE_model_plds_start) ||       \
    defined(EXAMPLE_model_plds_sample) || defined(EXAMPLE_model_plds_predict) || \
    defined(EXAMPLE_model_score)
extern vdi_plds *plds;
extern vdi_plds_data *counts;
extern vdi_score_bits bits;
extern double *log_p, *ll, *y_train, *rates, *truth, elbo, sum, r2;
#endif
#ifdef EXAMPLE_model_sacd_replay
extern float *obs, *action, *reward, *next;
extern int end;
extern vdi_rng rng;
#endif
#ifdef EXAMPLE_model_sacd_critic
extern void *obs, *action, *next_obs, *next_action, *bootstrap;
#endif
#ifdef EXAMPLE_model_sacd
extern vdi_env env;
extern float *obs, *action;
#endif
#ifdef EXAMPLE_model_sacd_policy
extern vdi_sacd *agent;
extern float *obs, *action;
#endif
#if defined(EXAMPLE_model_sacd_explain) || defined(EXAMPLE_model_sacd_episode) || \
    defined(EXAMPLE_model_sacd_trace) || defined(EXAMPLE_model_sacd_file)
extern vdi_sacd *agent;
extern vdi_env env;
extern float *obs;
#endif
#ifdef EXAMPLE_model_env_wire
extern vdi_env env;
int64_t read_stdin(void *buffer, size_t size, void *user);
bool write_stdout(const void *data, size_t size, void *user);
#endif
#elif defined(EXAMPLE_io)
extern vdi_writer writer;
extern vdi_figure figure;
extern vdi_state state;
extern vdi_tensor step;
extern const char *head[2], *cells[4];
extern uint8_t row[];
extern vdi_rgb palette[255];
#endif
