/* examples/vdi/inspect_page.c - the page of vdi sacd inspect: one file, nothing from elsewhere,
 * opens from a disk
 *
 * The data are a JSON text in the page; the script draws from it. The address's fragment sets the
 * page as a reader's hand would, through the controls: inspect.html#e=0&t=40&w=1,0.5,1 is episode
 * 0, step 40, with these weights.
 */
#include "inspect.h"

static const char markup[] =
    "<style>main,body{max-width:980px}.row{display:flex;flex-wrap:wrap;gap:20px;align-items:flex-"
    "start}.row>div{flex:2 1 280px;min-width:0}.row>.wide{flex:3 1 430px}"
    "#bar{position:sticky;top:0;background:var(--paper);padding:10px "
    "0;display:flex;gap:12px;align-items:center;z-index:1;border-bottom:1px solid var(--line)}"
    "#bar input{flex:1;min-width:80px}#bar button,#bar select{font:inherit;padding:2px 10px}#parts "
    "td,#parts th{padding:3px 8px 3px 0;font-size:13px;"
    "text-align:right}#parts td:first-child,#parts th:first-child{text-align:left}#parts "
    "input{width:72px;vertical-align:middle}"
    "i.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}svg{"
    "width:100%;height:auto;display:block}"
    "svg "
    "text{fill:var(--soft);font-size:11px}.wide{overflow-x:auto}output{font-variant-numeric:"
    "tabular-nums}</style>"
    "<div id=bar><select id=episode aria-label=Episode></select><button id=play>play</button>"
    "<input id=time type=range min=0 value=0 aria-label=Step><output id=where></output></div>"
    "<div class=row><div id=scene></div><div class=wide><table id=parts></table><p><button "
    "id=reset>weights of the agent</button></p></div></div>"
    "<p id=verdict></p><div id=values></div><div id=influence></div>";

static const char script_base[] =
    "const "
    "D=JSON.parse(document.getElementById('data').textContent),F=Math.fround,N=D.heads.length,$=id="
    ">document.getElementById(id);\n"
    "const color=i=>`hsl(${[212,28,145,350,268,48,185,320,100,0][i%10]} ${i<10?62:35}% 52%)`;\n"
    "const "
    "fix=x=>x===null||!isFinite(x)?'\\u2013':Math.abs(x)>=100?x.toFixed(0):Math.abs(x)>=1?x."
    "toFixed(2):x.toFixed(3);\n"
    "let e=0,t=0,w=D.weights.slice(),timer=0;\n"
    "// the same sums in the same order as the library's vdi_what_if, so the same candidate\n"
    "function best(ep,s,weights){let at=-1,top=-Infinity;\n"
    " for(let c=0;c<ep.action[s].length;c++){let a=0,b=0;\n"
    "  for(let i=0;i<N;i++){a+=weights[i]*F(ep.q0[s][c][i]);b+=weights[i]*F(ep.q1[s][c][i])}\n"
    "  const v=Math.min(a,b);if(at<0||v>top){at=c;top=v}}\n"
    " return{at,value:top}}\n"
    "// each component's values at candidate c, of the twin whose sum is smaller\n"
    "function parts(ep,s,c,weights){let a=0,b=0;\n"
    " for(let i=0;i<N;i++){a+=weights[i]*F(ep.q0[s][c][i]);b+=weights[i]*F(ep.q1[s][c][i])}\n"
    " return a<=b?ep.q0[s][c]:ep.q1[s][c]}\n"
    "// the fewest reasons for one action that outweigh all that speaks against it\n"
    "function reasons(d){const "
    "order=d.map((x,i)=>[x,i]).filter(p=>p[0]>0).sort((p,q)=>q[0]-p[0]);\n"
    " let against=0,sum=0;d.forEach(x=>{if(x<0)against-=x});\n"
    " const out=[];for(const[x,i]of order){if(sum>against)break;out.push(i);sum+=x}\n"
    " return out}\n";

static const char script_charts[] =
    "function axis(lo,hi,h,n){let s='';for(let k=0;k<=n;k++){const "
    "v=lo+(hi-lo)*k/n,y=h-8-(h-20)*k/n;\n"
    " s+=`<line x1=46 x2=936 y1=${y} y2=${y} stroke=\"var(--line)\" /><text x=40 y=${y+4} "
    "text-anchor=end>${fix(v)}</text>`}return s}\n"
    "function chart(id,title,rows,line,height){const T=rows.length,x=k=>46+890*k/Math.max(T-1,1);\n"
    " const up=new Float64Array(T),down=new Float64Array(T);let lo=0,hi=0;\n"
    " for(let k=0;k<T;k++){let a=0,b=0;for(const v of rows[k])if(v>0)a+=v;else "
    "b+=v;lo=Math.min(lo,b);hi=Math.max(hi,a);\n"
    "  if(line){lo=Math.min(lo,line[k]);hi=Math.max(hi,line[k])}}\n"
    " if(hi-lo<1e-12)hi=lo+1;const y=v=>height-8-(height-20)*(v-lo)/(hi-lo);let "
    "s=axis(lo,hi,height,4);\n"
    " for(let i=0;i<rows[0].length;i++){let top='',base='';\n"
    "  for(let k=0;k<T;k++){const v=rows[k][i],from=v>0?up[k]:down[k];if(v>0)up[k]+=v;else "
    "down[k]+=v;\n"
    "   top+=`${x(k).toFixed(1)},${y(from+v).toFixed(1)} "
    "`;base=`${x(k).toFixed(1)},${y(from).toFixed(1)} `+base}\n"
    "  s+=`<polygon points=\"${top}${base}\" fill=\"${color(i)}\" fill-opacity=.75 />`}\n"
    " if(line)s+=`<polyline fill=none stroke=\"var(--ink)\" stroke-width=1.5 stroke-dasharray=\"5 "
    "3\" points=\"${line.map((v,k)=>x(k).toFixed(1)+','+y(v).toFixed(1)).join(' ')}\" />`;\n"
    " s+=`<line class=now y1=12 y2=${height-8} stroke=\"var(--ink)\" />`;\n"
    " $(id).innerHTML=`<h3>${title}</h3><svg viewBox=\"0 0 940 ${height}\" role=img "
    "aria-label=\"${title}\">${s}</svg>`;$(id).x=x}\n"
    "function charts(){const ep=D.episodes[e];\n"
    " chart('values','Values by component, weighted; dashed: their realised "
    "return',ep.value.map(r=>r.map((v,i)=>w[i]*v)),\n"
    "  ep.returns.map(r=>r.reduce((s,v,i)=>s+w[i]*v,0)),280);\n"
    " chart('influence','Influence on the action, share of each "
    "component',ep.influence.map(r=>{const "
    "x=r.map((v,i)=>D.weights[i]?Math.abs(w[i]/D.weights[i])*v:v);\n"
    "  const all=x.reduce((s,v)=>s+v,1e-300);return x.map(v=>v/all)}),null,200);mark()}\n"
    "function mark(){for(const id of['values','influence']){const "
    "l=$(id).querySelector('.now'),x=$(id).x(t);l.setAttribute('x1',x);l.setAttribute('x2',x)}}\n";

static const char script_scene[] =
    "const dot=(x,y,r,f)=>`<circle cx=${x} cy=${y} r=${r} fill=\"${f}\" />`;\n"
    "const seg=(a,b,c,d,s,w)=>`<line x1=${a} y1=${b} x2=${c} y2=${d} stroke=\"${s}\" "
    "stroke-width=${w||2} stroke-linecap=round />`;\n"
    "const box=(s,v)=>`<svg viewBox=\"${v}\" role=img aria-label=\"the environment\" "
    "style=\"background:var(--tint);border-radius:6px\">${s}</svg>`;\n"
    "const ink='var(--ink)',soft='var(--soft)';\n"
    "const draw={pendulum(o,a){return box(seg(0,0,100*o[1],-100*o[0],ink,14)+dot(0,0,6,soft)+\n"
    "  `<path d=\"M0 -20 A20 20 0 0 ${a[0]>0?1:0} ${a[0]>0?20:-20} 0\" fill=none "
    "stroke=\"${color(0)}\" stroke-width=${(6*Math.abs(a[0])).toFixed(2)} />`,'-160 -130 320 "
    "260')},\n"
    " lander(o,a){const "
    "x=300*o[0],y=-(200*o[1]+18),g=-o[4]*180/"
    "Math.PI,main=a[0]>0?12+14*a[0]:0,side=Math.abs(a[1])>.5?14:0,d=a[1]>0?1:-1;\n"
    "  const leg=(s,on)=>seg(14*s,10,22*s,18,on?color(2):soft,5);\n"
    "  return box(seg(-330,0,330,0,soft,2)+seg(-60,0,60,0,color(2),4)+`<g "
    "transform=\"translate(${x} ${y}) rotate(${g})\">`+\n"
    "   "
    "(main?seg(0,10,0,10+main,color(1),6):'')+(side?seg(-d*17,-4,-d*(17+side),-4,color(1),4):'')+"
    "leg(-1,o[D.env==='lander'?6:7]>.5)+leg(1,o[D.env==='lander'?7:6]>.5)+\n"
    "   `<polygon points=\"-14,-17 -17,0 -17,10 17,10 17,0 14,-17\" fill=\"${ink}\" /></g>`,'-340 "
    "-420 680 450')},\n"
    " navigate(o,a){const x=100*o[0],y=-100*o[1];let s='';\n"
    "  for(let k=0;k<3;k++)s+=dot(x+100*o[6+3*k],y-100*o[7+3*k],100*o[8+3*k],soft);\n"
    "  return "
    "box(s+dot(x+100*o[4],y-100*o[5],6,color(2))+dot(x,y,4,ink)+seg(x,y,x+16*a[0],y-16*a[1],color("
    "1),2)+\n"
    "   `<rect x=-100 y=104 width=${Math.max(0,200*o[15])} height=4 fill=\"${color(0)}\" />`,'-110 "
    "-110 220 225')},\n"
    " 'bipedal-walker'(o,a){const P=(x,y,g,l)=>[x+l*Math.sin(g),y+l*Math.cos(g)],h=-o[0];let "
    "s='',g='';\n"
    "  for(let i=0;i<10;i++){const "
    "q=P(0,0,.15*i,160*o[14+i]);g+=q.map(v=>v.toFixed(1)).join(',')+' '}\n"
    "  const leg=(hip,knee,on,c)=>{const "
    "b=P(0,0,-h,8),k=P(b[0],b[1],-h+hip,34),f=P(k[0],k[1],-h+hip+knee,34);\n"
    "   return "
    "seg(b[0],b[1],k[0],k[1],c,8)+seg(k[0],k[1],f[0],f[1],c,6)+(on>.5?dot(f[0],f[1],5,color(2)):'')"
    "};\n"
    "  s+=leg(o[9],o[11]-1,o[13],soft)+`<g "
    "transform=\"rotate(${(h*180/Math.PI).toFixed(2)})\"><polygon points=\"-30,-9 6,-9 34,-1 34,8 "
    "-30,8\" fill=\"${ink}\" /></g>`+leg(o[4],o[6]-1,o[8],color(0));\n"
    "  return box(`<polyline points=\"${g}\" fill=none stroke=\"${soft}\" stroke-width=2 "
    "/>`+s,'-110 -70 300 180')},\n"
    " other(o){return box(o.map((v,i)=>`<rect x=${v<0?100+90*Math.max(v,-1):100} y=${14*i} "
    "width=${90*Math.min(Math.abs(v),1)} height=10 fill=\"${color(0)}\" />`+\n"
    "  `<text x=196 y=${14*i+9}>${D.observations[i]||'o'+i}</text>`).join(''),`0 -6 300 "
    "${14*o.length+10}`)}};\n"
    "draw['lunar-lander']=draw.lander;\n";

static const char script_controls[] =
    "function show(){const "
    "ep=D.episodes[e],s=Math.floor(t/"
    "ep.stride),at=s*ep.stride,b=best(ep,s,w),taken=ep.action_taken[t];\n"
    " $('where').textContent=`step ${t} of "
    "${ep.value.length-1}`;$('scene').innerHTML=(draw[D.env]||draw.other)(ep.obs[t],taken);\n"
    " const "
    "cell=(c,v)=>{$(c).textContent=fix(v)},all=ep.influence[t].reduce((x,v,i)=>x+(D.weights[i]?"
    "Math.abs(w[i]/D.weights[i])*v:v),1e-300);\n"
    " const "
    "mean=parts(ep,s,0,w),top=parts(ep,s,b.at,w),rdx=top.map((q,i)=>w[i]*(F(q)-F(mean[i])));\n"
    " for(let i=0;i<N;i++){cell('q'+i,w[i]*ep.value[t][i]);cell('g'+i,w[i]*ep.returns[t][i]);\n"
    "  "
    "cell('s'+i,(D.weights[i]?Math.abs(w[i]/D.weights[i])*ep.influence[t][i]:ep.influence[t][i])/"
    "all);cell('d'+i,rdx[i])}\n"
    " const name=a=>a.map(v=>F(v).toFixed(3)).join(', '),why=reasons(rdx).map(i=>D.heads[i]);\n"
    " $('verdict').innerHTML='';const "
    "p=$('verdict'),put=x=>p.append(x),out=document.createElement('output');\n"
    " out.id='action';out.textContent=name(ep.action[s][b.at]);out.dataset.action=JSON.stringify("
    "ep.action[s][b.at].map(F));out.dataset.value=b.value;out.dataset.step=at;\n"
    " put(`Taken: ${name(taken)}. Under the weights set here the best of ${ep.action[s].length} "
    "candidates${ep.stride>1?' (known every '+ep.stride+' steps; here step '+at+')':''} is `);\n"
    " put(out);put(`, worth ${fix(b.value)}. `+(b.at===0?'It is the action that the policy "
    "prefers.':\n"
    "  `The policy's own would be worth "
    "${fix(parts(ep,s,0,w).reduce((x,q,i)=>x+w[i]*F(q),0))}`+(why.length?`; the difference is made "
    "by ${why.join(', ')}.`:'.')));mark()}\n"
    "function "
    "table(){$('parts').innerHTML='<tr><th>component<th>weight<th><th>value<th>return<th>influence<"
    "th>gain</tr>'+D.heads.map((h,i)=>\n"
    " `<tr><td><i class=key style=\"background:${color(i)}\"></i><span id=h${i}></span><td><input "
    "type=range id=w${i} min=0 max=3 step=any aria-label=\"weight\"><td><output "
    "id=v${i}></output>`+\n"
    " `<td id=q${i}><td id=g${i}><td id=s${i}><td id=d${i}></tr>`).join('');\n"
    " D.heads.forEach((h,i)=>{$('h'+i).textContent=h;const "
    "r=$('w'+i);r.max=Math.max(3,2*D.weights[i]);r.min=Math.min(0,2*D.weights[i]);r.value=w[i];r."
    "setAttribute('aria-label','weight of '+h);$('v'+i).textContent=fix(w[i]);\n"
    "  r.oninput=()=>{w[i]=+r.value;$('v'+i).textContent=fix(w[i]);charts();show()}})}\n"
    "function "
    "open_episode(k){e=k;t=0;$('time').max=D.episodes[e].value.length-1;$('time').value=0;charts();"
    "show()}\n"
    "D.episodes.forEach((ep,k)=>{const "
    "o=document.createElement('option');o.value=k;o.textContent=`episode ${k}: return "
    "${fix(ep.total)}`;$('episode').append(o)});\n"
    "table();$('episode').onchange=()=>open_episode(+$('episode').value);\n"
    "$('time').oninput=()=>{t=+$('time').value;show()};\n"
    "$('play').onclick=()=>{if(timer){clearInterval(timer);timer=0;$('play').textContent='play';"
    "return}$('play').textContent='pause';\n"
    " timer=setInterval(()=>{t=(t+1)%D.episodes[e].value.length;$('time').value=t;show()},40)};\n"
    "$('reset').onclick=()=>D.heads.forEach((h,i)=>{$('w'+i).value=D.weights[i];$('w'+i)."
    "dispatchEvent(new Event('input'))});\n"
    "open_episode(0);\n"
    "{const set=new "
    "URLSearchParams(location.hash.slice(1)),turn=(x,v)=>{x.value=v;x.dispatchEvent(new "
    "Event('input'));x.dispatchEvent(new Event('change'))};\n"
    " if(set.has('e'))turn($('episode'),set.get('e'));if(set.has('t'))turn($('time'),set.get('t'));"
    "\n"
    " if(set.has('w'))set.get('w').split(',').forEach((v,i)=>{if(i<N)turn($('w'+i),v)})}\n";

static void put_rows(vdi_json_writer *j, const char *key, int64_t rows, int64_t cols,
                     vdi_dtype dtype, const void *data) {
    vdi_json_put_tensor(j, key, vdi_tensor_2d((void *)data, dtype, rows, cols));
}

static void put_names(vdi_json_writer *j, const char *key, const char *const *name, int64_t n) {
    vdi_json_open(j, key, '[');
    for (int64_t i = 0; name && i < n; i++)
        vdi_json_put_text(j, NULL, name[i]);
    vdi_json_close(j);
}

static void put_episode(vdi_json_writer *j, const inspection *s, const episode *e) {
    const vdi_sacd_trace *t = e->trace;
    double total = 0;
    /* drawn, not computed with: float32 says enough */
    float *value = malloc((size_t)(3 * t->steps * s->heads) * sizeof *value + 1);
    const double *from[3] = {t->value, t->influence, t->returns};
    static const char *const key[3] = {"value", "influence", "returns"};
    for (int64_t k = 0; k < t->steps * t->components; k++)
        total += (double)t->reward[k];
    vdi_json_open(j, NULL, '{');
    vdi_json_put_number(j, "total", total);
    vdi_json_put_integer(j, "stride", e->stride);
    put_rows(j, "obs", t->steps, t->observations, VDI_F32, t->obs);
    put_rows(j, "action_taken", t->steps, t->actions, VDI_F32, t->action);
    for (int i = 0; value && i < 3; i++) {
        for (int64_t k = 0; k < t->steps * s->heads; k++)
            value[k] = (float)from[i][k];
        put_rows(j, key[i], t->steps, s->heads, VDI_F32, value);
    }
    free(value);
    vdi_json_put_tensor(j, "action",
                        vdi_tensor_3d(e->action, VDI_F32, e->states, e->candidates, t->actions));
    vdi_json_put_tensor(j, "q0",
                        vdi_tensor_3d(e->q[0], VDI_F32, e->states, e->candidates, s->heads));
    vdi_json_put_tensor(j, "q1",
                        vdi_tensor_3d(e->q[1], VDI_F32, e->states, e->candidates, s->heads));
    vdi_json_close(j);
}

static void page_checks(vdi_page *p, const inspection *s) {
    static const char *const head[] = {"influence", "mean return", "bias",
                                       "RMSE",      "slope",       "explained"};
    double x[VDI_CRITIC_HEADS][6];
    for (int64_t h = 0; h < s->heads; h++) {
        const vdi_value_error v = vdi_value_check_head(&s->check, h);
        x[h][0] = s->influence[h];
        x[h][1] = v.mean;
        x[h][2] = v.bias;
        x[h][3] = v.rmse;
        x[h][4] = v.slope;
        x[h][5] = v.explained;
    }
    vdi_page_heading(p, 2, "Which component is predicted well?");
    vdi_page_text(p, "Values against the discounted returns that were then realised, over all "
                     "steps of all episodes here. Explained is 1 for a perfect prediction and "
                     "0 for one no better than a constant: a component that stays low while others "
                     "do not can't be learned from these observations. "
                     "Slope is that of return on value, 1 where differences are neither overstated "
                     "nor understated. Influence is the mean share.");
    vdi_page_numbers(p, head, s->head, vdi_tensor_2d(x, VDI_F64, s->heads, 6), 3);
}

bool inspect_page(const inspection *s, const char *folder) {
    char *path = path_join(folder, "inspect.html"), text[400];
    vdi_error err = {0};
    vdi_writer w;
    vdi_page p;
    vdi_json_writer j;
    bool ok = vdi_writer_open(&w, path, &err) == VDI_OK;
    if (ok) {
        snprintf(text, sizeof text, "%s: why does it do that?", s->env->name);
        vdi_page_begin(&p, &w, text);
        snprintf(text, sizeof text,
                 "Agent %s, algorithm %s, discount %g. Move the time to scrub through an episode; "
                 "move a weight to see which action would then be best, "
                 "without learning anew; gain is what that action has over the policy's own.%s",
                 s->run, s->algo, s->gamma,
                 s->heads == 1 ? " This agent has one value for all of the reward, so only its "
                                 "whole can be weighed: train with sac-d to split it."
                               : "");
        vdi_page_text(&p, text);
        vdi_page_raw(&p, markup);
        page_checks(&p, s);
        vdi_page_data_begin(&p, "data", &j);
        vdi_json_open(&j, NULL, '{');
        vdi_json_put_text(&j, "env", s->env->name);
        put_names(&j, "heads", s->head, s->heads);
        put_names(&j, "observations", s->env->observation, s->env->observations);
        vdi_json_put_tensor(&j, "weights", vdi_tensor_1d((void *)s->weights, VDI_F64, s->heads));
        vdi_json_open(&j, "episodes", '[');
        for (int64_t i = 0; i < s->episodes; i++)
            put_episode(&j, s, &s->episode[i]);
        vdi_json_close(&j);
        vdi_json_close(&j);
        vdi_page_data_end(&p, &j);
        vdi_page_script(&p, script_base);
        vdi_page_script(&p, script_charts);
        vdi_page_script(&p, script_scene);
        vdi_page_script(&p, script_controls);
        ok = vdi_page_end(&p, &err) == VDI_OK;
        ok = vdi_writer_close(&w, ok ? &err : NULL) == VDI_OK && ok;
    }
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}
