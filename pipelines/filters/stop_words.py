"""Stop words and mean word lengths by language: written by `python -m benchmarks.stop_words --write`.

`STOP_WORDS` are the most frequent words, the most frequent first; `MEAN_WORD_LENGTH` is in characters. Languages that
do not put spaces between words are left out, and those in which few words are frequent have no stop words.
"""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
STOP_WORDS: Mapping[str, str] = {
    "af":
        "die en van in het is n nie wat te dit ek om ons vir met op word",
    "ar":
        "في من على أن و إلى مسلسل عن هذا التي ما هذه أو الى ذلك",
    "az":
        "və bu ildə bir ilə kimi də olan o çox üçün da sonra isə",
    "be":
        "і ў у з на не што а",
    "bg":
        "на в се да за и от е ще не с по са",
    "bn":
        "কর ও করত এব জন্য ন থেক হব তার হয় য",
    "bs":
        "je i u se na su od da za a",
    "ca":
        "de la i a el que en per les del un els amb",
    "cs":
        "a v na se je pro s do",
    "cy":
        "yn y o a i ar yr ei gan ac",
    "da":
        "og i er at det en til af på for med der de den har jeg",
    "de":
        "der die und in das von den mit zu auf sie",
    "el":
        "και το να του την της με για η που ο από τα είναι στο",
    "en":
        "the and of to a in for on is be",
    "eo":
        "la de kaj en al estas estis ke por",
    "es":
        "de la y el que en a los un con las se ms es no una",
    "et":
        "ja on et ei kui ka see oma või aga siis ning nii oli ma pole saab eesti kas seda ta meie mis",
    "eu":
        "eta da zen izan ziren bat ere zuen du dira ez animalia bere generoko udalerrian",
    "fa":
        "در و به از که است این را با",
    "fi":
        "ja on että ei myös oli ovat joka sekä voi tai noin se ole kuin niin sen eli jos koko lisäksi vuoden",
    "fr":
        "de la et les le des à en du est une un dans qui",
    "ga":
        "an a na agus is i ar é le ag go de sa",
    "gu":
        "છ અન હત આવેલ આ જ ક એક ભારત તેન દેશન રાજ્યન ત ભાગમ",
    "he":
        "של על את הוא או היה גם כי לא עם אך בשנת כל ב לאחר אותו בין היו ידי יותר אם אשר היא אחד זה באופן "
        "במקום הייתה הם זו",
    "hi":
        "क ह म स और थ न पर भ त",
    "hr":
        "i u je se na za su od",
    "hu":
        "a az és hogy is nem egy volt de csak meg",
    "hy":
        "է են և որ ու համար եւ հետ մասին այս ենք իր այն էր մի այդ եմ ոչ մեր շատ ավելի էլ հայաստանի ես չի թե "
        "անգամ երբ հհ բոլոր կարող պետք բայց եթե ինչպես մենք մեջ ունի եք ժամանակ",
    "id":
        "yang dan di itu dengan ini tidak untuk akan dalam",
    "is":
        "að og í á er sem til ekki það með en um við",
    "it":
        "di e il la in a che per del un della le è i marino",
    "ka":
        "და წელს იყო წლის რომელიც მისი არ არის იგი როგორც შემდეგ ის ამ რომ ერთ-ერთი კი მათ მდებარეობს "
        "მოსახლეობა დროს პირველი სხვა ეს მაგრამ მას მეორე ადამიანს ასევე",
    "la":
        "in et est cum sunt a ad de anno circa dies per qua sed ab epocha etiam movebatur solem qui quae ex "
        "non ut vel autem fuit appellantur esse quod erat incolae eius se e inter lingua quam quoque sive",
    "lg":
        "mu ku ne nga nti e abaana bwe",
    "lt":
        "ir yra kad su iš tik kaip tai į ne savo nuo ar bet o taip daug buvo pat bei jis jų m tiek apie mūsų "
        "arba gali iki",
    "lv":
        "un ir ar arī par ka kā no bet vai kas uz tas ja lai tā nav to",
    "mi":
        "te i ki o ngā e a he ko ka kei me atu ana",
    "mk":
        "на во и од се за со е да",
    "mn":
        "нь байна юм ч энэ гэж л байгаа монгол олон их нэг байсан бол дээр улс",
    "mr":
        "आह आण य त ह होत व केल तर नाह अस असत आल एक झाल आहेत क काह यांन त्यांन",
    "ms":
        "yang dan di lagu download ini pada untuk dari oleh dengan",
    "nl":
        "de van in het een en is op met zijn hij te",
    "nn":
        "i og av er som på ein til det dei den for eit med han frå har var",
    "no":
        "og i er for av til det som på en å med at ikke har et",
    "pa":
        "ਦ ਨ ਹ ਤ ਅਤ ਕ ਨਾਲ ਵਿੱਚ ਇਸ ਲਈ ਨਹ ਜ ਵਿਚ ਸ ਵ ਹਨ",
    "pl":
        "w na i z się do nie to jest że",
    "pt":
        "de a o que e do da com para em no os não um",
    "ro":
        "de a în la si şi cu pentru este care pe din in o",
    "ru":
        "и в не на что с я он как а его но по",
    "sk":
        "a v na sa je s aj z",
    "sl":
        "je in v na za se da pa ki z so",
    "sn":
        "kuti kana asi uye chete iri ini akati uyu iyi makore ane ari izvi ndiri mwana vanhu vari wake murume "
        "nekuti sezvo apo mari akadaro uyo ava vakadaro",
    "so":
        "oo ka iyo ku ah ee la waa u waxaa uu ay soo",
    "sq":
        "të e në dhe i me një nga për që më",
    "sr":
        "је у и се су на да од а",
    "st":
        "ho le e ba ya ka a o ke ha tse wa sa tsa se di hore re la",
    "sv":
        "och i för att en på som är till av med det om den ett har",
    "sw":
        "ya wa na kwa katika ni mwaka za la",
    "tl":
        "ng sa ang na mga ay at isang ito si noong",
    "tn":
        "go a ba le ka e o re ya ke mo fa gore ga se di wa ne mme tsa",
    "tr":
        "ve bir bu olarak ile için da de olan daha en her çok büyük sonra gibi göre ilgili kadar veya bilgi "
        "gün iki iyi ne olduğu tarafından şekilde eğitim ise yer alan bulunan genel iş olmak sağlık yüksek",
    "ts":
        "ku hi ya na va wa eka a ka nga ta ri swi yi ndzi xa",
    "uk":
        "і на у в з та до що не а",
    "ur":
        "کے کی ہے میں سے اور کو کا اس نے کہ ہیں یہ",
    "vi":
        "và các là có của cho trong được những một với để không người công đến bạn hàng học trường đã nghiệp "
        "sự",
    "yo":
        "ni je ti ó ní tí o tele ati aare awon to orile-ede a",
    "zu":
        "ukuthi futhi uma kodwa kakhulu kanye abantu ngoba noma lapho uthe khona njengoba lokhu kusho ukuba "
        "ngaphandle nje ukuze kahle ngesikhathi abaningi abanye konke kukhona lakhe uhlelo ujesu kufanele lo "
        "ngenxa ngokuba afrika bese endaweni imali indlela kanti kube le",
}

MEAN_WORD_LENGTH: Mapping[str, float] = {
    "af": 4.62,
    "ar": 4.79,
    "az": 6.38,
    "be": 5.9,
    "bg": 5.2,
    "bn": 4.7,
    "bs": 5.39,
    "ca": 5.13,
    "cs": 5.45,
    "cy": 4.82,
    "da": 4.94,
    "de": 5.99,
    "el": 5.36,
    "en": 5.04,
    "eo": 5.07,
    "es": 4.86,
    "et": 6.07,
    "eu": 6.76,
    "fa": 4.13,
    "fi": 7.89,
    "fr": 5.25,
    "ga": 4.87,
    "gu": 4.38,
    "he": 4.74,
    "hi": 3.18,
    "hr": 5.58,
    "hu": 6.24,
    "hy": 6.57,
    "id": 6.1,
    "is": 5.08,
    "it": 5.34,
    "ka": 7.1,
    "kk": 6.68,
    "ko": 3.31,
    "la": 6.25,
    "lg": 6.4,
    "lt": 6.36,
    "lv": 6.0,
    "mi": 3.68,
    "mk": 5.34,
    "mn": 5.7,
    "mr": 5.25,
    "ms": 5.82,
    "nl": 5.29,
    "nn": 5.07,
    "no": 5.28,
    "pa": 3.25,
    "pl": 5.9,
    "pt": 4.92,
    "ro": 5.37,
    "ru": 5.42,
    "sk": 5.38,
    "sl": 5.21,
    "sn": 6.75,
    "so": 5.4,
    "sq": 4.9,
    "sr": 5.29,
    "st": 4.31,
    "sv": 5.56,
    "sw": 5.31,
    "ta": 7.29,
    "te": 5.93,
    "tl": 5.17,
    "tn": 4.04,
    "tr": 6.79,
    "ts": 4.71,
    "uk": 5.99,
    "ur": 3.75,
    "vi": 3.47,
    "xh": 7.67,
    "yo": 4.13,
    "zu": 7.74,
}
