"""Two small files written by torch 2.13.0, one in each format, so that tests need no torch.

Written by this, then zlib.compress and base64.b85encode:

    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    state = torch.nn.BatchNorm2d(2).state_dict()
    state["turned"], state["row"] = base.t(), base[1, 1:]
    state["brain"] = torch.tensor([1.0, -3.5, float("inf")]).bfloat16()
    state["mask"] = torch.tensor([True, False])
    state["param"] = torch.nn.Parameter(torch.tensor([[0.5]]))
    torch.save(state, file, _use_new_zipfile_serialization=...)
"""

import base64
import zlib

import numpy as np

_ZIP = (
    "c-qBQ%WoS+7#~04INOj%TL=vh+LVU_t>g9EZId+HvOu@cWJ}8u9%f^2?N#h`zTI&GND-DGDZOz(;)Z&t#E}CBZdJv90D"
    "`Iq5J;RjA#vi!%#P#kY?P-D9eK2}J-^3%v)}j4oDvEn6pf-SV+b8ax?QT8E5>A5$9jBusU}MUXn`B8V5!uo)r=B08<rz"
    "nvCD>SlrNekEC8BNArR9dglyF?D^(1^5^fO6c(IAinj;i#W3g%0%0+BgPQxy)Bn1e?Vp=ajIAo<>F(Aw!f?R9p_$vERf"
    "F3PC)+8XJg~+qC+=N~wh#@+!ASJjCeM(>*gj-eW;1Gs>6&};bHqoM~J1|fs8r5)>afmQjb+JQj>@dY1X4oSbj;ipu)=w"
    "7NP0KQ^O0jO}7CgamBw>VcJlW<rMma_q$5R-dR^b`#kcVSMw_%K<NWrs=;&_|l1f>{f6elq}r^55v5wg%~){BceE>#Vu"
    "h;6;JWR&3rM%9kg<%U)11nNbXJq<C!9>6d`*e50!>q{73R^gO;KDcRHgy=NqDFbnW>c=oiJ%yFf1|*b#65arjF(fghR7"
    "ksLU^iAFvk9-Zf!TSbM+vP%j&3H;Km`nER5+{k(DSf$(}HuHeaSs(G27X~lxrpn(}XjGVTPI^oaZU$EaQ|gTu|Ynd&YI"
    "$S%O!1%0{Esp_5&@9K6cn{aQQTuT#29j84IDS%o)Ti_5yL*Wt}=UR?KI0~@vgSGd^aVU9(7p7IBjzy_%7ag}Mjh2feC*"
    "S~PTynPci72avC!GhLD(Bvh<I!!uw*Zu!Jjb<dgzXl(;$+2SC4#_ttDnZ9_7UOeDZ*=JHS5q70B<P&mHmgTarjyn28x6"
    "az<6@glmPB82?_r2k`iFmh`;2ay&h4c~QSPC1JH3l~&8%2;!@{zZ+Q0h3LN-ke%&fxSK_U^{(ZDd8=@?l27#j^*tYqoz"
    "L3B4q&BVB7P!H=<e;uQ#6xq?k0Gj5i>SRKe&U9e_q1FtY)WMhYkzc7~bQcHbcn6{^<<Y_Q*`WI7ALGUW^plTRKh>Rn*Y"
    "Qt3;{9j3*QYT+=gEi67MZunyhrArWTIJemmu>vnTc8I^P{yJ(+S$Xcky|Y_nDQYp)EdJGaue-eM(tx4SxUo0rD@`UH%2"
    "!$lpErqqckf89)-RotLHQZi)|!zx(c;_;>tk+Wo>iIvDg+z)scgs{W+}s{YeAm2122e+(rbHUKvOj$xam1AL;>+hfrz%"
    "Tj!wW)fl{m&<1psZ1)BEhH0SI-N=svgu4ZTPP&b8Br{xa^xFzdFRrF&tt?#%yk){W;;H;-E(M*bN@ZqkM=ge5e|7jgtq"
    "IqeiCmJ8|6sm!)S-j>F4n_qG68bXAe)O0s7(IDmK8uulFEd@A6~46^O?^@MFcjW9bc*?-+ac{J@V*?L)WMhfVvj-b&`v"
    "^<y)BthZkA*jChs&HAz4dc$My`>{Dc)>|oftlH<p=KWZ2o)2=^Up&}t-fwUEjq$<)+NCheDUryj%`y@??I~#d^Scmx{w"
    "Hj<#R$DGqi@?gWjEBG2*V7z>)G1>0Yw#CA^"
)
_LEGACY = (
    "c-n=OS5wqb6vxvRB!Z&Yuwq{<m|eDHZ4?npL?u{a!H~_~A<>X<k{cMEVcZuG{R}?%=*Qrr`07V+#s^P|$YRi)J-c(;?|"
    "<$ox5<4Hou8k_fAqcn`mlGP$xVFc@plQByw=Sy%)IYW&-5I9f%t*#xxnHEtqWHin^K49#BJDy3*4$E;v{`LPxQckM*`r"
    "NK*(!3oD3|_r;t-PjmMGgQfN~IO^6ttI}7cK5QeB}qKrdKiYkHlz;6(rG{$U`ioo=%z~;3!Jh4dZS&IT^QqMQ70X?L)6"
    "NtJ`>Y?p4bV}U7^Yw+I2z)-TwMXi>)0ib7BuB(?$1~_uGATk%+kty(rHUk%<#I`q2a6K4#g3ZuA^OJMr?72OVH9o|Iuv"
    "#p#E(|w&vpu(Ds;uysM|&WJ1kVR1gn)eSS=JK33gfusXHa@ib%T?QV)eaD(uxd@t7aFuI<k1a|C0$?{8wIT99SAR;|GP"
    "lz1Q|_C~~m3Gonx!zvunwr?OV7(N``0$4*I;aCdnOM%BD;E4oylENt!PHR1Q%nj%Cx<O5g1UmH%^9^ahnFO3h_#S3;J-"
    "}yMwQ7Y@u>^V4Vo|Ffwfg%LjdK*vt8gLCG7Wtfu@|%btyJZb1Ov$EM8>7aUqRtlKvGymSb;*qD^eI#p%kam_ZFf2FIXj"
    "oRVS64!Y_jyUA~rpE>pOo!qvEx>%L*TaINLKqj5zQD(hFizUj&}EGrm71s)ZKBX?0@BvKen6mC!$Q{iS@OLIo>2F6<jJ"
    "kME&-`WH(NhKL>r@6b6=I(9;R}%O=3KJ^akKLa)d}9tCY|%XNDxt&|;bC^LYPE8?2$N~{)JTn0*cF&c{vIWYk10G+;pu"
    "8T&_2L36`qGn@IvcA7M3<O8U{7sWxPJE;UojEmOzi&_4hk7qi{hG)bU-Ij^3h-o?^3Fm&?j7pVdG@Rukm1s<kaE<n38W"
    "-j)@v4l=+ot)D;R=1^pvEvwNSGmKxfCfXOYHMDPN%m~ADqxGRlBmd*FTdcDTzrJr~t@(b#zM)@wMR)`"
)

FILES = {
    "zip": zlib.decompress(base64.b85decode(_ZIP)),
    "legacy": zlib.decompress(base64.b85decode(_LEGACY)),
}

_BASE = np.arange(12, dtype=np.float32).reshape(3, 4)
CONTENT = {
    "weight": np.ones(2, np.float32),
    "bias": np.zeros(2, np.float32),
    "running_mean": np.zeros(2, np.float32),
    "running_var": np.ones(2, np.float32),
    "num_batches_tracked": np.array(0),
    "turned": _BASE.T,
    "row": _BASE[1, 1:],
    "brain": np.array([1.0, -3.5, np.inf], np.float32),
    "mask": np.array([True, False]),
    "param": np.array([[0.5]], np.float32),
}
