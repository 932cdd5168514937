"""Grammar rules of Spanish pages."""

from pipelines.demo_crawl.lexicon import phrases

RULES: dict[str, tuple[str, ...]] = {
    "quien": phrases("""
        el panadero / la maestra / el viejo pescador / la joven médica / el molinero / la vecina / el alcalde
        / la abuela / el sastre / la jardinera / el guardabosques / la pintora / el cartero / la cocinera / el
        capitán / una alumna curiosa / un viajero cansado / {person} / {friend} / mi tío / nuestra prima
    """),
    "gente": phrases("""
        los niños / los campesinos / muchas personas / los viajeros / los vecinos / los artesanos / los
        invitados / todos los alumnos / los comerciantes / los pescadores / las familias del pueblo
    """),
    "que": phrases("""
        un pastel de manzana / el libro antiguo / la caja pesada / una carta larga / la llave grande / una
        sopa caliente / el barco pequeño / la puerta verde / una cesta de peras / el reloj roto / la mesa de
        madera / una camisa blanca / una historia bonita / las herramientas / el pan fresco / un tejado nuevo
        / la fuente de piedra / un mapa del país / las últimas patatas / una alfombra de lana / el regalo de
        la madre / las flores del jardín
    """),
    "donde": phrases("""
        en la plaza del mercado / en la cocina / a orillas del {river} / detrás de la iglesia / en el bosque /
        al lado del molino / delante del ayuntamiento / en el taller / debajo del puente viejo / en medio del
        campo / en una habitación pequeña / en el puerto / en la escuela de {town} / entre las casas / en el
        desván / al fondo del jardín / en lo alto de la colina / en {town}
    """),
    "cuando": phrases("""
        por la mañana temprano / en otoño / cada domingo / después de comer / durante el invierno / por la
        noche / en verano / poco antes de medianoche / después de la tormenta / un día frío de enero / durante
        la cosecha / a finales de mes / desde hace tres semanas / durante las vacaciones / en Navidad / de vez
        en cuando
    """),
    "hace": phrases("""
        busca / encuentra / vende / trae / enseña / repara / compra / lleva / describe / dibuja / olvida /
        limpia / mira / esconde / admira / prepara
    """),
    "hacen": phrases("""
        buscan / encuentran / venden / traen / enseñan / reparan / compran / llevan / describen / dibujan /
        olvidan / limpian / miran / esconden / preparan
    """),
    "como": phrases("""
        despacio / con mucha paciencia / sin decir nada / con mucho cuidado / con las dos manos / con gusto /
        en secreto / por primera vez / como siempre / con alegría / en silencio
    """),
    "razon": (
        "porque hace mal tiempo",
        "porque nadie más tiene tiempo",
        "aunque llueve mucho",
        "para que los niños no tengan frío",
        "porque el camino a {town} es largo",
        "antes de que se ponga el sol",
        "cuando suenan las campanas",
        "ya que el dinero no alcanza",
        "mientras el perro duerme delante de la puerta",
        "en cuanto se derrite la nieve",
        "porque {friend} lo ha pedido",
    ),
    "estan": phrases("""
        muy cansados / contentos / llenos de esperanza / un poco tristes / agradecidos / sorprendidos /
        preocupados / de buen humor / inquietos / orgullosos
    """),
    "piensa": (
        "que no se puede comprar {que}",
        "que {gente} trabajan demasiado",
        "que la vida es más hermosa {donde}",
        "que {quien} {hace} {que}",
        "que la paciencia vale más que el dinero",
        "que el invierno será largo",
    ),
    "sentence": (
        "{quien} {hace} {que} {donde}, {razon}.",
        "{cuando}, {quien} {hace} {como} {que}.",
        "{donde}, {gente} {hacen} {que} {cuando}.",
        "{gente} están {estan}, {razon}.",
        "{quien} piensa {piensa}.",
        "{cuando}, {quien} nos dice {piensa}.",
        "no muy lejos de {town} corre el río {river}, y allí {gente} {hacen} {que}.",
        "se cuenta {cuando} {piensa}.",
        "{quien} {hace} {que}, pero {quien} {hace} {que} {como}.",
        "¿por qué {gente} {hacen} eso {donde}?",
        "cuando {quien} {hace} {que} {cuando}, {gente} están {estan}.",
        "{donde} hay una casa donde {quien} {hace} {que} {cuando}.",
    ),
    "title": (
        "Un día en {town}",
        "{person} y el río {river}",
        "La vida a orillas del {river}",
        "Lo que {gente} {hacen} {donde}",
        "Recuerdos de {town}",
        "La carta de {friend}",
    ),
}
